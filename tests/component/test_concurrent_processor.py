"""Records that are handled concurrently: their acknowledgement, and their revocation."""

import asyncio
from datetime import UTC, datetime

import pytest
from faust.types import TP

from agents.loms.order import Order, StatusChange
from agents.loms.service import ORDER_AGGREGATE, Loms
from agents.runtime.changelog import recover
from agents.runtime.concurrent_processor import ConcurrentProcessor
from agents.runtime.in_flight import PartitionRecords
from agents.runtime.rows import Row
from schemas.contract import Code, Contract, Item, Refused
from schemas.order import OrderStatusChanged, Status
from tests.component.worker_harness import (
    Event,
    Stream,
    WorkerHarness,
    breathe,
    record,
    settings,
)
from topics.catalog import ORDER_EVENTS

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ITEMS = (Item(sku=1, count=2),)
REPLY = Refused(code=Code.BAD_REQUEST, text="")
"""Events have no reply topic, so it goes nowhere."""


def changed(order: int, status: Status) -> OrderStatusChanged:
    return OrderStatusChanged(order_id=order, user=7, status=status, items=ITEMS, at=NOON)


def batch(*events: OrderStatusChanged) -> Event:
    records = [record(event, partition=0, offset=n) for n, event in enumerate(events)]
    return Event([PartitionRecords(TP(ORDER_EVENTS.name, 0), records)])


class _Processing:
    """A processor whose handlers return when a test releases them."""

    def __init__(self, harness: WorkerHarness) -> None:
        self.started: list[str] = []
        self.release = asyncio.Event()
        self.stream = Stream()
        self.agent = ConcurrentProcessor(harness.app, ORDER_EVENTS, self.handle)
        harness.run(self.agent.run(self.stream))

    async def handle(self, request: OrderStatusChanged) -> Contract:
        self.started.append(request.event_id)
        await self.release.wait()
        return REPLY

    async def read(self, *events: OrderStatusChanged) -> Event:
        event = batch(*events)
        self.stream.queue.put_nowait(event)
        await breathe()
        return event


@pytest.fixture
def _one_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Route all records to partition 0."""
    monkeypatch.setattr("agents.runtime.router.partition_of", lambda *_: 0)


@pytest.fixture
async def processing(harness: WorkerHarness, _one_partition: None) -> _Processing:
    return _Processing(harness)


async def test_a_batch_is_acknowledged_when_all_its_records_are_handled(
    processing: _Processing,
):
    event = await processing.read(changed(1, Status.NEW), changed(2, Status.NEW))
    assert not event.settled
    processing.release.set()
    await breathe()
    assert event.settled


@pytest.mark.usefixtures("_one_partition")
async def test_each_batch_of_a_poll_is_acknowledged_when_its_own_records_are_handled(
    harness: WorkerHarness,
):
    stuck, stream = asyncio.Event(), Stream()

    async def handle(request: OrderStatusChanged) -> Contract:
        if request.order_id == 1:
            await stuck.wait()
        return REPLY

    harness.run(ConcurrentProcessor(harness.app, ORDER_EVENTS, handle).run(stream))
    event = Event(
        [*batch(changed(1, Status.NEW)).value, *batch(changed(2, Status.NEW)).value]
    )
    stream.queue.put_nowait(event)
    await breathe()
    assert [each.acknowledged for each in event.value] == [False, True]
    assert event.acks < event.awaited
    stuck.set()
    await breathe()
    assert event.settled
    assert event.acks == event.awaited


async def test_a_batch_of_a_revoked_partition_is_not_acknowledged(
    harness: WorkerHarness, processing: _Processing, deaths: list[str]
):
    event = await processing.read(changed(1, Status.NEW))
    event.value[0].revoked = True
    await harness.app.partitions_revoked()
    processing.release.set()
    await breathe()
    assert not event.settled
    assert not deaths


async def test_recovered_orders_that_await_payment_are_expired(tmp_path, deaths: list[str]):
    loms = Loms(settings(tmp_path))
    harness = WorkerHarness(loms.service)
    store = harness.open(loms._orders._table)  # noqa: SLF001
    awaiting, paid = (_order(1, Status.AWAITING_PAYMENT), _order(2, Status.PAID))
    recover(store, 0, [Row(key, row, 1) for key, row in (awaiting | paid).items()], 2)
    await loms._expire_overdue()  # noqa: SLF001
    await harness.arrive()
    [expiration] = harness.sent("order.requests")
    assert expiration.value == b'{"orderID":1,"type":"expireOrder","unpaidSeconds":600}'


def _order(order: int, status: Status) -> dict[bytes, bytes]:
    history = (StatusChange(Status.NEW, NOON, "a"), StatusChange(status, NOON, "b"))
    row = Order(order, 7, "key", {1: 2}, history, {1: True}, 1)
    return {str(order).encode(): ORDER_AGGREGATE.serdes[0].serialize(row)}
