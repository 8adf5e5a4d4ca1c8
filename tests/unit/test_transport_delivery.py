"""Deliveries under failures, revocations and small limits: each row once, each in order."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator

import pytest
from aiokafka.structs import ConsumerRecord

from agents.notifications import pending
from agents.notifications.backoff import MAX_IN_FLIGHT, Backoff
from agents.notifications.delivery import TransportDelivery
from agents.notifications.pending import PendingDelivery, pending_key
from agents.notifications.transports import PermanentError, TransientError
from agents.runtime.rows import PartitionOffsets
from schemas.order import OrderStatusChanged
from tests.component.notifier import event_of
from tests.e2e.waiting import until

PARTITIONS = (0, 1, 2)
ORDERS = 60
STEPS = 40


class _Table:
    """A table and its log: a row is complete when it is deleted."""

    def __init__(self) -> None:
        self.offsets = defaultdict(PartitionOffsets)
        self.outcomes: list[tuple[int, int, str]] = []
        self._rows: dict[int, dict[bytes, bytes | None]] = defaultdict(dict)

    @property
    def store(self) -> "_Table":
        return self

    @property
    def size(self) -> int:
        """The number of rows and tombstones."""
        return sum(map(len, self._rows.values()))

    def add(self, partition: int) -> bytes:
        """Add the row of a random order; return its key."""
        order = partition * ORDERS + random.randrange(ORDERS)
        offsets = self.offsets[partition]
        event, offset = event_of(order), offsets.stored.source_offset
        place = ("order.events", partition, offset, 0, 0)
        record = ConsumerRecord(*place, None, event.to_json(), None, -1, -1, ())
        key = pending_key("fake", offset, order)
        self._rows[partition][key] = pending.encode(record, event)
        offsets.stored = offsets.stored._replace(source_offset=offset + 1)
        return key

    def rows(self, partition: int, begin: bytes, end: bytes) -> Iterator[tuple]:
        for key, row in sorted(self._rows[partition].items()):
            if begin <= key < end and row is not None:
                yield key, row

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self._rows[partition].get(key)

    def purge(self, partition: int, begin: bytes, end: bytes) -> None:
        rows = self._rows[partition]
        for key in [key for key in rows if begin <= key < end]:
            assert rows.pop(key) is None

    async def complete(self, row: PendingDelivery, _: str, outcome: str) -> None:
        self._rows[row.record.partition][row.key] = None
        await asyncio.sleep(random.uniform(0, 0.002))
        self.outcomes.append((row.event.order_id, row.record.offset, outcome))


class _Transport:
    """A transport that fails at random, and always while it is down."""

    name = "fake"

    def __init__(self) -> None:
        self.is_down = False
        self.in_flight: set[int] = set()

    async def deliver(self, event: OrderStatusChanged) -> None:
        assert event.order_id not in self.in_flight
        self.in_flight.add(event.order_id)
        assert len(self.in_flight) <= MAX_IN_FLIGHT
        await asyncio.sleep(random.uniform(0, 0.003))
        self.in_flight.remove(event.order_id)
        chance = random.random()
        if self.is_down or chance < 0.1:
            raise TransientError("down")
        if chance < 0.2:
            raise TransientError("greylisted", is_of_recipient=True)
        if chance < 0.22:
            raise PermanentError("unknown")


class _NoPauses:
    def check(self) -> None: ...


@pytest.mark.parametrize(("max_keys", "chunk"), [(3, 1), (50, 7), (10_000, 256)])
async def test_each_row_is_delivered_once_and_in_order_within_its_order(
    monkeypatch: pytest.MonkeyPatch, max_keys: int, chunk: int
):
    monkeypatch.setattr(pending, "MAX_KEYS", max_keys)
    monkeypatch.setattr(pending, "CHUNK", chunk)
    random.seed(max_keys)
    table, transport, backoff = _Table(), _Transport(), Backoff(0.001, 0.01)
    delivery = TransportDelivery(transport, table, _NoPauses(), (), backoff)
    delivery.start(PARTITIONS)
    total = 0

    def add(partition: int) -> None:
        nonlocal total
        keys = [table.add(partition) for _ in range(random.randint(1, 40))]
        delivery.added(partition, keys)
        total += len(keys)

    for step in range(STEPS):
        add(random.choice(PARTITIONS))
        await asyncio.sleep(random.uniform(0, 0.01))
        transport.is_down = step % 10 > 6
        if step % 8 == 7:
            await delivery.stop()
            add(random.choice(PARTITIONS))
            delivery.start(PARTITIONS)
        if step % 5 == 0:
            delivery.purge()
    transport.is_down = False
    for partition in PARTITIONS:
        add(partition)
    await until(lambda: len(table.outcomes) == total, "all outcomes")
    offsets = defaultdict(list)
    for order, offset, _ in table.outcomes:
        offsets[order].append(offset)
    assert all(each == sorted(set(each)) for each in offsets.values())
    await asyncio.sleep(0.05)  # the last future is done, its waiters follow
    assert [rows.count for rows in delivery._partitions.values()] == [0, 0, 0]  # noqa: SLF001
    delivery.purge()
    delivery.purge()
    assert table.size == 0
    await delivery.stop()
