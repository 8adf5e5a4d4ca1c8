"""A batch from its records to its commit: what is sent when, and nothing twice."""

import json
from datetime import UTC, datetime

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from agents.loms.order import Order, StatusChange
from agents.loms.service import ORDER_AGGREGATE, STOCK_AGGREGATE
from agents.runtime.in_flight import MAX_IN_FLIGHT, MAX_RECORDS
from schemas.contract import MAX_COUNT, MAX_LINES, MAX_STOCK, Item
from schemas.order import CreateOrder, ListOrder, Status, StockReserved, order_id
from schemas.stock import ListStocks, ReceiveStock, Release, Reserve, Sell
from tests.component.worker_harness import (
    DiedError,
    Serving,
    WorkerHarness,
    breathe,
    header,
    record,
)

CREATE = CreateOrder(user=7, items=(Item(sku=1, count=2),))
RESERVES, EVENTS, ROWS = "stock.requests", "order.events", "loms-orders-changelog"
STOCK_ROWS = "loms-stock-changelog"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
async def orders(harness: WorkerHarness) -> Serving:
    return await harness.serve(ORDER_AGGREGATE)


@pytest.fixture
async def stock(harness: WorkerHarness) -> Serving:
    return await harness.serve(STOCK_AGGREGATE)


async def test_a_batch_is_acknowledged_only_when_all_that_it_caused_is(
    harness: WorkerHarness, orders: Serving
):
    batch = await orders.read(CREATE)
    for topic in (RESERVES, EVENTS, ROWS):
        assert harness.lying[topic] == 1
        assert not batch.settled
        assert not batch.acks
        await harness.arrive(topic)
    assert batch.settled
    assert batch.acks == 1


async def test_no_reply_or_row_is_sent_before_its_commands_are_acknowledged(
    harness: WorkerHarness, orders: Serving
):
    await orders.read(CREATE)
    assert harness.lying == {RESERVES: 1}
    await harness.arrive()
    assert harness.lying == {EVENTS: 1, ROWS: 1}


async def test_replies_do_not_overtake_the_commands_of_the_batch_before(
    harness: WorkerHarness, orders: Serving
):
    await orders.read(CREATE)
    await orders.read(ListOrder(order_id=order_id(7, "nobody's")))
    assert harness.lying == {RESERVES: 1}
    await harness.arrive(RESERVES)
    assert harness.lying["order.replies"] == 1


async def test_no_more_batches_are_read_than_may_be_in_flight(
    harness: WorkerHarness, stock: Serving
):
    batches = [await stock.read(ListStocks(sku=1)) for _ in range(MAX_IN_FLIGHT + 5)]
    assert stock.stream.taken == MAX_IN_FLIGHT + 1  # one waits for room
    await harness.all_arrives()
    assert all(batch.settled for batch in batches)


async def test_no_more_records_are_read_than_replies_may_wait_for(
    harness: WorkerHarness, stock: Serving
):
    most = [ListStocks(sku=1)] * (MAX_RECORDS // 2)
    batches = [await stock.read(*most) for _ in range(4)]
    assert stock.stream.taken == 3  # the third waits for room
    await harness.all_arrives()
    assert all(batch.settled for batch in batches)


async def test_a_batch_larger_than_the_limit_is_read_alone(
    harness: WorkerHarness, stock: Serving
):
    large = await stock.read(*[ListStocks(sku=1)] * (MAX_RECORDS + 1))
    small = await stock.read(ListStocks(sku=1))
    assert stock.stream.taken == 2  # the second waits for room
    await harness.all_arrives()
    assert large.settled
    assert small.settled


async def test_all_rows_of_a_record_are_one_record_batch_with_their_source_offset(
    harness: WorkerHarness, stock: Serving
):
    await stock.read(ReceiveStock(sku=1, warehouse_id=1, count=5))
    await harness.all_arrives()
    [together] = harness.logs[STOCK_ROWS]
    assert len(together) == 2  # the level, and the receipt
    assert {header(row, "version") for row in together} == {"1"}


async def test_rows_too_many_for_one_record_batch_are_written_in_several(
    harness: WorkerHarness, orders: Serving, deaths: list[str]
):
    made = [order_id(7, f"key:{number}") for number in range(100)]
    lines = dict.fromkeys(range(1_000_000_000, 1_000_000_000 + MAX_LINES), MAX_COUNT)
    history = (StatusChange(Status.NEW, NOON, "me"),)
    large = {
        str(one).encode(): ORDER_AGGREGATE.serdes[0].serialize(
            Order(one, 7, "key", lines, history)
        )
        for one in made
    }
    partition = record(CREATE).partition
    orders.store.put(partition, large, 0)
    answers = [StockReserved(order_id=o, sku=min(lines), reserved=True) for o in made]
    batch = await orders.read(*answers)
    await harness.all_arrives()
    assert not deaths
    assert batch.settled
    assert len(harness.logs[ROWS]) > 1
    assert {row.key for row in harness.sent(ROWS)} == large.keys()


async def test_a_refused_record_is_refused_again_when_it_is_redelivered(
    harness: WorkerHarness, stock: Serving
):
    await stock.read(ReceiveStock(sku=1, warehouse_id=1, count=MAX_STOCK))
    refused = await stock.read(ReceiveStock(sku=1, warehouse_id=1, count=1))
    await stock.read(Reserve(sku=1, order_id=7, count=9), Sell(sku=1, order_id=7))
    await harness.all_arrives()
    before = stock.store.get(refused.value[0].tp.partition, b"1")
    await stock.again(refused)
    await harness.all_arrives()
    assert stock.store.get(refused.value[0].tp.partition, b"1") == before
    assert [json.loads(r.value)["type"] for r in harness.sent("stock.replies")] == [
        *("done", "refused", "refused")
    ]


async def test_a_redelivered_record_counts_once_and_is_answered_again(
    harness: WorkerHarness, stock: Serving
):
    batch = await stock.read(ReceiveStock(sku=1, warehouse_id=1, count=5))
    await harness.all_arrives()
    await stock.again(batch)
    await harness.all_arrives()
    level = json.loads(stock.store.get(batch.value[0].tp.partition, b"1"))
    assert level["available"] == {"1": 5}
    first, second = harness.sent("stock.replies")
    assert first.value == second.value


async def test_an_older_worker_keeps_the_fields_of_a_newer_one(
    harness: WorkerHarness, stock: Serving
):
    newer = b'{"available":{"1":5},"reserved":{},"picked":{"1":2}}'
    stock.store.put(record(ListStocks(sku=1)).partition, {b"1": newer}, 0)
    await stock.read(ReceiveStock(sku=1, warehouse_id=1, count=1))
    await stock.read(ReceiveStock(sku=1, warehouse_id=1, count=1))
    await harness.all_arrives()
    levels = [row.value for row in harness.sent(STOCK_ROWS) if row.key == b"1"]
    assert levels[-1] == newer.replace(b'"1":5', b'"1":7')


async def test_a_row_with_a_newer_field_in_one_of_its_parts_is_read(
    harness: WorkerHarness, orders: Serving
):
    one = order_id(7, "key:a")
    order = Order(one, 7, "key:a", {1: 2}, (StatusChange(Status.NEW, NOON, "me"),))
    row = ORDER_AGGREGATE.serdes[0].serialize(order)
    newer = row.replace(b'"by":"me"', b'"by":"me","why":"newer"')
    orders.store.put(record(CREATE).partition, {str(one).encode(): newer}, 0)
    await orders.read(StockReserved(order_id=one, sku=1, reserved=True))
    await harness.all_arrives()
    [written] = harness.sent(ROWS)
    read = ORDER_AGGREGATE.serdes[0].deserialize(written.value)
    assert read.status is Status.AWAITING_PAYMENT


async def test_a_record_that_kafka_refuses_ends_the_worker(
    harness: WorkerHarness, stock: Serving, deaths: list[str]
):
    await stock.read(ListStocks(sku=1))
    await harness.fails("stock.replies", MessageSizeTooLargeError())
    assert deaths
    assert "not sent" in deaths[0]


async def test_a_worker_that_was_frozen_sends_nothing(
    harness: WorkerHarness, stock: Serving, deaths: list[str]
):
    harness.app.pause_monitor.arm()
    harness.app.pause_monitor._last -= 3600  # noqa: SLF001 -- its last check was an hour ago
    await stock.read(Release(sku=1, order_id=7))
    assert "frozen" in deaths[0]
    assert not harness.lying


async def test_an_exception_in_an_agent_ends_the_worker(
    harness: WorkerHarness, stock: Serving, deaths: list[str]
):
    agent = harness.app.agents[stock.aggregate.requests.name]
    with pytest.raises(DiedError):
        await harness.app._on_agent_error(agent, ValueError("why"))  # noqa: SLF001
    assert "raised ValueError('why')" in deaths[0]


async def test_a_batch_of_a_partition_without_rows_is_not_processed(
    harness: WorkerHarness, stock: Serving, deaths: list[str]
):
    stock.store.drop_partition(record(ListStocks(sku=1)).partition)
    await stock.read(ListStocks(sku=1))
    assert "before its rows were recovered" in deaths[0]
    await breathe()
    assert not harness.lying


async def test_a_batch_of_a_revoked_partition_is_not_processed(
    harness: WorkerHarness, stock: Serving
):
    event = await stock.read(ReceiveStock(sku=1, warehouse_id=1, count=5))
    await harness.all_arrives()
    before = len(harness.sent(STOCK_ROWS))
    for batch in event.value:
        batch.revoked, batch.acknowledged = True, False
    acks = event.acks
    await stock.again(event)
    assert not harness.lying
    assert event.acks == acks + 1  # else its release would wait for ever
    assert not event.settled
    assert len(harness.sent(STOCK_ROWS)) == before
