"""Deletes expired rows, and drops the marks of deleted rows, in small steps.

The rules do not see expired rows, so a deletion changes nothing for them. It must not come
before a record that is older than the expiry, though: a redelivered one, or the next one
of a broker whose clock was set back. So a row is deleted when the newest committed record
is an hour younger than its expiry.

The tables have an index by expiry. Its entries go with their rows here, so every worker
that follows a partition sweeps its own files. Only the owner deletes rows.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from msgspec import DecodeError

from agents.row_serde import RowSerde
from agents.runtime.changelog import ChangelogProducer
from agents.runtime.collector import Worker
from agents.runtime.layout import index_value
from agents.runtime.metrics import DROPPED
from agents.runtime.producer import DeliveryFuture
from agents.runtime.rows import Index
from agents.runtime.state_store import MARK_RETENTION, StateStore
from topics.topic import Topic

SWEEP_SECONDS = 0.25
MAX_ENTRIES = 1000
"""Of one step: more would block the loop, and with it the group's heartbeats."""

PASS_SECONDS = 60.0
MARGIN = timedelta(hours=1)

Clock = Callable[[int], datetime | None]
"""Returns the time of a partition's newest committed record; None: not known."""


def expiry_index(
    serde: RowSerde,
    expires: Callable[[Any], datetime | None],
    *parts: bytes,
) -> Index:
    """Return an index of rows by the time when they expire.

    Args:
        serde: of the rows that expire.
        expires: returns when a row expires; None: never.
        parts: all of them are in the JSON of a row that expires; others are not parsed.
    """

    def index(row: bytes) -> tuple[bytes, bool] | None:
        if not all(part in row for part in parts):
            return None
        try:
            end = expires(serde.deserialize(row))
        except DecodeError:  # the next record of this row stops the worker
            return None
        return None if end is None else (index_value(end), True)

    return index


class Sweeper:
    """Sweeps the rows of a table.

    Args:
        table: the Faust table that owns the rows.

    Attributes:
        clock: of the rows' expiry; None: they do not expire.
    """

    def __init__(
        self, worker: Worker, changelog: Topic, table: Any, clock: Clock | None
    ) -> None:
        self._worker = worker
        self._topic = changelog
        self._table = table
        self.clock = clock
        self._dropped = DROPPED.labels(table.name)
        self._partitions: list[int] = []
        self._next_pass = 0.0
        self._is_stopped = False
        self._in_flight: set[DeliveryFuture] = set()

    async def start(self, _: set[int]) -> None:
        """Sweep."""
        self._is_stopped = False

    async def stop(self) -> None:
        """Delete no more rows; return when the changelog has all deletions."""
        self._is_stopped = True
        if self._in_flight:
            await asyncio.wait(self._in_flight)

    def step(self) -> None:
        """Take the next step of a pass over all partitions, if one is due."""
        if self._is_stopped:
            return
        if not self._partitions and time.monotonic() >= self._next_pass:
            self._begin_pass()
        limit = MAX_ENTRIES
        while self._partitions and limit:
            limit -= self._sweep(self._partitions[-1], limit)
            if limit:
                self._partitions.pop()

    @property
    def is_in_pass(self) -> bool:
        """Whether partitions are left to be swept."""
        return bool(self._partitions)

    @property
    def _store(self) -> StateStore:
        store: StateStore = self._table.data.rows
        return store

    def _begin_pass(self) -> None:
        self._next_pass = time.monotonic() + PASS_SECONDS
        self._partitions = [*self._store.offsets]
        if self.clock is not None:
            for partition in self._partitions:
                self._store.offsets[partition].cursor = b""

    def _sweep(self, partition: int, limit: int) -> int:
        """Sweep a partition; return the number of entries read, up to the limit."""
        if partition not in self._store.offsets:  # it was released meanwhile
            return 0
        marks_until = time.time() - MARK_RETENTION.total_seconds()
        count = self._store.drop_marks(partition, marks_until, limit)
        until = self._expired_until(partition)
        if until is None:
            return count
        due = self._store.due(partition, index_value(until))
        entries = list(islice(due, limit - count))
        self._drop(partition, entries)
        return count + len(entries)

    def _expired_until(self, partition: int) -> datetime | None:
        """Return a time until which expired rows can be deleted.

        Of partitions that others own, the entries of deleted rows are to be found. The
        owner deletes later if no records come.
        """
        if self.clock is None:
            return None
        at = self.clock(partition)
        if partition in self._store.active:
            return at and at - MARGIN
        return (at or datetime.now(UTC)) - 2 * MARGIN

    def _drop(self, partition: int, entries: list[bytes]) -> None:
        """Drop entries that are not current, and the rows of those that are.

        A row that is being written is left to the next pass.
        """
        store, unacknowledged = self._store, self._store.offsets[partition].unacknowledged
        rows = {entry: entry.partition(b"/")[2] for entry in entries}
        rows = {entry: key for entry, key in rows.items() if key not in unacknowledged}
        expired = {entry for entry in rows if store.is_current(partition, entry)}
        store.drop_entries(partition, rows.keys() - expired)
        if expired and partition in store.active:
            self._delete(partition, [rows[entry] for entry in expired])

    def _delete(self, partition: int, keys: list[bytes]) -> None:
        """Delete rows.

        Their source offset is that of the stored rows: with a higher one, a recovery would
        take records for processed whose rows are not in the changelog yet.
        """
        self._worker.pause_monitor.check()
        source_offset = self._store.offsets[partition].stored.source_offset
        write = self._store.put(partition, dict.fromkeys(keys), source_offset)
        changelog = ChangelogProducer(
            self._worker.batching_producer, self._topic, self._store
        )
        delivery = changelog.produce(write)
        self._in_flight.add(delivery)
        delivery.add_done_callback(self._in_flight.discard)
        self._dropped.inc(len(keys))
