"""Errands: side by side, once each, and given up with dignity."""

import asyncio
from datetime import UTC, datetime

import pytest
from faust.types import TP

from agents.loms.order import Order, StatusChange
from agents.loms.service import ORDER_AGGREGATE, Loms
from agents.runtime.concurrent_processor import ConcurrentProcessor
from agents.runtime.in_flight import PartitionRecords
from schemas.contract import Item
from schemas.order import OrderStatusChanged, Status
from tests.component.bench import Bench, Event, Stream, breathe, record, settings
from topics.catalog import ORDER_EVENTS

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ITEMS = (Item(sku=1, count=2),)


def fact(order: int, status: Status) -> OrderStatusChanged:
    return OrderStatusChanged(order_id=order, user=7, status=status, items=ITEMS, at=NOON)


def batch(*facts: OrderStatusChanged) -> Event:
    records = [record(f, partition=0, offset=n) for n, f in enumerate(facts)]
    return Event([PartitionRecords(TP(ORDER_EVENTS.name, 0), records)])


class _Errands:
    """Errands that end when a test says so."""

    def __init__(self, bench: Bench) -> None:
        self.begun: list[str] = []
        self.may_end = asyncio.Event()
        self.stream = Stream()
        self.agent = ConcurrentProcessor(bench.app, ORDER_EVENTS, self.carry_out)
        bench.run(self.agent.run(self.stream))

    async def carry_out(self, received, _record, _send) -> None:
        self.begun.append(received.request.event_id)
        await self.may_end.wait()

    async def read(self, *facts: OrderStatusChanged) -> Event:
        event = batch(*facts)
        self.stream.queue.put_nowait(event)
        await breathe()
        return event


@pytest.fixture
def _one_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all records be at their owner's."""
    monkeypatch.setattr("agents.runtime.router.partition_of", lambda *_: 0)


@pytest.fixture
async def errands(bench: Bench, _one_partition: None) -> _Errands:
    return _Errands(bench)


async def test_a_batch_is_acknowledged_when_all_its_records_are_handled(errands: _Errands):
    event = await errands.read(fact(1, Status.NEW), fact(2, Status.NEW))
    assert not event.settled
    errands.may_end.set()
    await breathe()
    assert event.settled


@pytest.mark.usefixtures("_one_partition")
async def test_each_batch_of_a_poll_is_acknowledged_when_its_own_records_are_handled(
    bench: Bench,
):
    stuck, stream = asyncio.Event(), Stream()

    async def carry_out(received, _record, _send) -> None:
        if received.request.order_id == 1:
            await stuck.wait()

    bench.run(ConcurrentProcessor(bench.app, ORDER_EVENTS, carry_out).run(stream))
    event = Event([*batch(fact(1, Status.NEW)).value, *batch(fact(2, Status.NEW)).value])
    stream.queue.put_nowait(event)
    await breathe()
    assert [each.acknowledged for each in event.value] == [False, True]
    assert event.acks < event.awaited
    stuck.set()
    await breathe()
    assert event.settled
    assert event.acks == event.awaited


async def test_a_batch_of_a_revoked_partition_is_not_acknowledged(
    bench: Bench, errands: _Errands, deaths: list[str]
):
    event = await errands.read(fact(1, Status.NEW))
    await bench.app.partitions_revoked()
    errands.may_end.set()
    await breathe()
    assert not event.settled
    assert not deaths


async def test_recovered_orders_that_await_payment_are_expired(tmp_path, deaths: list[str]):
    loms = Loms(settings(tmp_path))
    bench = Bench(loms.service)
    store = bench.open(loms._orders._table)  # noqa: SLF001
    awaiting, paid = (_order(1, Status.AWAITING_PAYMENT), _order(2, Status.PAID))
    store.put(0, awaiting | paid, 1)
    await loms._rebuild_deadlines()  # noqa: SLF001
    await loms._expire_overdue()  # noqa: SLF001
    await bench.arrive()
    [asked] = bench.sent("order.requests")
    assert asked.value == b'{"orderID":1,"type":"expireOrder","unpaidSeconds":600}'


def _order(order: int, status: Status) -> dict[bytes, bytes]:
    steps = (StatusChange(Status.NEW, NOON, "a"), StatusChange(status, NOON, "b"))
    row = Order(order, 7, "key", {1: 2}, steps, {1: True}, 1)
    return {str(order).encode(): ORDER_AGGREGATE.adapters[0].dump_json(row)}
