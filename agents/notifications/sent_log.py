"""The notifications table: events that were read, and their pending deliveries."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

from agents.notifications.pending import PendingDelivery, decode, prefix, with_outcome
from agents.runtime.changelog import ChangelogProducer
from agents.runtime.producer import BatchingProducer, DeliveryFuture
from agents.runtime.state_store import StateStore
from agents.worker.service import Service
from topics.catalog import ORDER_EVENTS, SENT_CHANGELOG

_COUNT_CHUNK = 1000

_FLUSH_SECONDS = 5.0
"""Limit of a flush at a stop without a broker; local files are discarded then."""


@dataclass(eq=False)
class _PendingWrite:
    """Outcomes of one partition that are written as one batch."""

    acked: asyncio.Future[None]
    outcomes: list[tuple[PendingDelivery, str, str]] = field(default_factory=list)


class SentLog:
    """Stores events and pending deliveries, in the table and its changelog.

    Deliveries that end at the same moment share a record batch: a batch for each would
    cost more than the rest of the work.

    Args:
        service: the owner of the table.
    """

    def __init__(self, service: Service) -> None:
        self._producer: BatchingProducer = service.app.batching_producer
        self.table = service.add_table(SENT_CHANGELOG)
        self._writes: dict[int, _PendingWrite] = {}
        self._pending_acks: set[DeliveryFuture] = set()

    @property
    def store(self) -> StateStore:
        """The rows."""
        store: StateStore = self.table.data.rows
        return store

    async def open(self) -> None:
        """Prepare the changelog for writes, after the rows are recovered."""
        await self._changelog.rewrite_superseded()

    def contains(self, partition: int, event_id: bytes) -> bool:
        """Return whether the table has an event."""
        return self.store.get(partition, event_id) is not None

    def record(
        self, partition: int, rows: Mapping[bytes, bytes | None], source_offset: int
    ) -> DeliveryFuture:
        """Write rows; the future is done when the changelog has them."""
        self.store.put(partition, rows, source_offset)
        acked = self._changelog.produce(partition, rows, source_offset)
        self._pending_acks.add(acked)
        acked.add_done_callback(self._pending_acks.discard)
        return acked

    async def complete(
        self, pending: PendingDelivery, transport: str, outcome: str
    ) -> None:
        """Remove a pending row; return when the changelog has it."""
        partition = pending.record.partition
        write = self._writes.get(partition)
        if write is None:
            loop = asyncio.get_running_loop()
            write = self._writes[partition] = _PendingWrite(loop.create_future())
            loop.call_soon(self._write, partition)
        write.outcomes.append((pending, transport, outcome))
        await asyncio.shield(write.acked)

    async def flush(self) -> None:
        """Write all outcomes; return when the changelog has all rows."""
        for partition in list(self._writes):
            self._write(partition)
        if self._pending_acks:
            await asyncio.wait(self._pending_acks, timeout=_FLUSH_SECONDS)

    def pending(self, partition: int, key: bytes) -> PendingDelivery:
        """Return a pending delivery.

        Raises:
            KeyError: there is no such row.
        """
        row = self.store.get(partition, key)
        if row is None:
            raise KeyError(key)
        return decode(ORDER_EVENTS.name, partition, key, row)

    def time_of(self, partition: int, key: bytes | None) -> float | None:
        """Return the time of a pending row's event; None without such a row."""
        row = None if key is None else self.store.get(partition, key)
        if key is None or row is None:
            return None
        return decode(ORDER_EVENTS.name, partition, key, row).event.at.timestamp()

    def keys_behind(
        self, partition: int, transport: str, key: bytes, limit: int
    ) -> list[bytes]:
        """Return the keys of a transport's pending rows after a key, oldest first."""
        return list(islice(self._keys(partition, transport, key), limit))

    async def count(self, partition: int, transport: str) -> int:
        """Count the pending rows of a transport, without blocking other tasks."""
        count, keys = 0, [b""]
        while keys:
            keys = self.keys_behind(partition, transport, keys[-1], _COUNT_CHUNK)
            count += len(keys)
            await asyncio.sleep(0)
        return count

    def purge(self, partition: int, transport: str, end: bytes) -> None:
        """Drop the tombstones of completed deliveries below a key."""
        self.store.purge(partition, prefix(transport), end)

    def _keys(self, partition: int, transport: str, key: bytes) -> Iterator[bytes]:
        start = prefix(transport)
        end = start[:-1] + bytes([start[-1] + 1])
        rows = self.store.rows(partition, key + b"\0" if key else start, end)
        return (row_key for row_key, _ in rows)

    def _write(self, partition: int) -> None:
        write = self._writes.pop(partition, None)
        if write is None:  # flushed before
            return
        rows: dict[bytes, bytes | None] = {}
        for pending, transport, outcome in write.outcomes:
            rows[pending.key] = None
            event_id = pending.event.event_id.encode()
            row = rows.get(event_id) or self.store.get(partition, event_id)
            if row is not None:
                rows[event_id] = with_outcome(row, transport, outcome)
        source_offset = self.store.offsets[partition].source_offset
        acked = self.record(partition, rows, source_offset)
        acked.add_done_callback(lambda _: write.acked.set_result(None))

    @cached_property
    def _changelog(self) -> ChangelogProducer:
        return ChangelogProducer(self._producer, SENT_CHANGELOG, self.store)
