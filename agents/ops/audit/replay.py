"""Replays the request topics from their first records through the pure rules.

Undecodable, misrouted and badly addressed records pass through the worker's own router.
Only Kafka, tables and clocks are left out. Each snapshot of a table is compared with the
replay of exactly the records that it includes.
"""

import sys
from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiokafka.structs import ConsumerRecord

from agents.aggregate import OutgoingMessage
from agents.ops.audit.invariants import Balances, add_turnover
from agents.ops.audit.snapshots import (
    AGGREGATES,
    NO_ROW,
    TableSnapshot,
    TableState,
    as_text,
    serde_of,
    short,
)
from agents.runtime.collector import RecordCollector
from agents.runtime.deserializer import Envelope
from agents.runtime.producer import ProducerRecord
from agents.runtime.router import RecordRouter
from agents.runtime.transaction import fold
from schemas.contract import Contract
from topics.kafka.location import RecordLocation
from topics.topic import Topic


@dataclass(frozen=True, slots=True)
class ReplayedRecord:
    """The effects of a record.

    Attributes:
        envelope: the request; None: no request, or one of another partition.
        state: after the record.
        messages: of the rules.
        records_sent: of the runtime, replies included.
    """

    record: ConsumerRecord
    envelope: Envelope | None = None
    keys: tuple[str, ...] = ()
    state: Any = None
    changed: bool = False
    messages: Sequence[OutgoingMessage] = ()
    records_sent: Sequence[ProducerRecord] = ()

    @property
    def request(self) -> Contract | None:
        """The request, if this partition owns it."""
        return self.envelope.request if self.envelope else None


class PartitionReplay:
    """The replay of one partition, and its differences from snapshots.

    In a topic without a table, only invalid and misrouted records have effects.

    Attributes:
        rows: by key; expired ones stay.
        changed_at: the offset of the last record that changed each row.
        turnover: units that were received and written off.
        captured: the state at the offset of `capture_at`, once it is replayed.
    """

    def __init__(
        self, topic: Topic, partition: int, partitions: int, generation: int = 0
    ) -> None:
        self.rows: dict[str, Any] = {}
        self.changed_at: dict[str, int] = {}
        self.turnover: Balances = defaultdict(Counter)
        self._topic = topic
        self._partition = partition
        self._aggregate = AGGREGATES.get(topic)
        self._router = RecordRouter(topic, partitions, generation)
        self._offset = -1
        self._newest_ms = 0
        self._begin, self._changed_end = 0, 0
        self._capture_at: int | None = None
        self._stored: Container[bytes] = ()
        self.captured: TableState | None = None
        self._snapshots: list[TableSnapshot] = []
        self._differences: list[tuple[str, str, datetime | None, str]] = []

    def begin_at(self, state: TableState) -> None:
        """Begin at the state of a checkpoint."""
        self.rows, self.changed_at = {**state.rows}, {**state.changed_at}
        self._offset, self._changed_end = state.offset - 1, state.changed_end
        self._begin, self._newest_ms = state.changed_end, state.newest_ms
        for location, units in state.turnover.items():
            self.turnover[location].update(units)

    def capture_at(self, offset: int, stored: Container[bytes]) -> None:
        """Capture the state once the records below an offset are replayed.

        Expired rows are left out, unless they are still `stored`.
        """
        self._capture_at, self._stored = offset, stored

    def compare(self, snapshot: TableSnapshot) -> bool:
        """Compare a snapshot once exactly its records are replayed.

        Returns:
            False for a local store from before the checkpoint, whose rows are unknown.
        """
        if snapshot.store and snapshot.source_offset < self._begin:
            return False
        insort(self._snapshots, snapshot, key=lambda each: -each.source_offset)
        return True

    def take(self, record: ConsumerRecord) -> ReplayedRecord:
        """Replay the next record."""
        self._reach(record.offset)
        self._offset = record.offset
        self._newest_ms = max(self._newest_ms, record.timestamp)
        out = RecordCollector(self._topic)
        envelope = self._router.route(record, out)
        if envelope is None or self._aggregate is None:
            return ReplayedRecord(record, envelope, records_sent=out.records)
        keys, before, after, messages = fold(self._aggregate, self, envelope)
        for message in messages:
            out.add(message, envelope)
        if changed := after is not before:
            add_turnover(self.turnover, envelope.request, before, after)
        return ReplayedRecord(record, envelope, keys, after, changed, messages, out.records)

    def state(self, keys: tuple[str, ...], at: datetime) -> Any:  # noqa: ANN401 -- any
        """Return the state under these keys, without rows that have expired at a time."""
        if self._aggregate is None:
            return None
        rows = (self._aggregate.unexpired(self.rows.get(key), at) for key in keys)
        return self._aggregate.state(*rows)

    def put(self, keys: tuple[str, ...], after: Any) -> None:  # noqa: ANN401
        """Keep the state after the record that is being replayed."""
        rows = after if len(keys) > 1 else (after,)
        for key, row in zip(keys, rows, strict=True):
            if row is not self.rows.get(key):
                self.changed_at[key] = self._offset
                self._changed_end = self._offset + 1
                self.rows[key] = row
                if row is None:
                    del self.rows[key]

    def json(self, key: str) -> str:
        """Return a row as JSON, or that there is none."""
        row = self.rows.get(key)
        if row is None or self._aggregate is None:
            return NO_ROW
        return serde_of(self._aggregate, key).serialize(row).decode()

    def differences(self) -> list[str]:
        """Return all differences, once the log is replayed.

        A row may be missing because the log deletes it later, or because it has expired
        by the time of a later record: as it was, or as a later record left it. Kafka also
        drops the deletion, a day after compaction. Then no record of the changelog shows
        that its end lies beyond the deletion.
        """
        self._reach(sys.maxsize)
        return [
            text
            for name, found, expires, text in self._differences
            if found != NO_ROW or not (self._is_over(expires) or self._is_gone(name))
        ]

    def _is_gone(self, name: str) -> bool:
        return name not in self.rows or self._is_over(self._expiry(self.rows[name]))

    def _reach(self, offset: int) -> None:
        """Compare and capture what lies at or below the offset of the next record."""
        self._compare_up_to(offset)
        if self._capture_at is not None and self._capture_at <= offset:
            rows = {
                key: row
                for key, row in self.rows.items()
                if key.encode() in self._stored or not self._is_over(self._expiry(row))
            }
            self.captured = TableState(
                self._capture_at,
                rows,
                {key: self.changed_at[key] for key in rows},
                self._changed_end,
                self._newest_ms,
                {location: Counter(units) for location, units in self.turnover.items()},
            )
            self._capture_at = None

    def _expiry(self, row: Any) -> datetime | None:  # noqa: ANN401 -- of any aggregate
        if row is None or self._aggregate is None:
            return None
        return self._aggregate.expires(row)

    def _is_over(self, time: datetime | None) -> bool:
        return time is not None and time.timestamp() * 1000 <= self._newest_ms

    def _compare_up_to(self, offset: int) -> None:
        while self._snapshots and self._snapshots[-1].source_offset <= offset:
            snapshot = self._snapshots.pop()
            end, rows = self._offset + 1, snapshot.rows
            if snapshot.source_offset > end:
                newest = max(rows, key=lambda key: rows[key].source_offset, default=b"")
                found = f"it includes {snapshot.source_offset} records"
                self._add_difference(snapshot, newest, found, end, "no more records")
            for key in snapshot.rows.keys() | {key.encode() for key in self.rows}:
                name = as_text(key)
                value, found = snapshot.decoded(key)
                expected = self.rows.get(name)
                if value not in (expected, snapshot.as_stored(key, value, expected)):
                    last = self.changed_at.get(name, snapshot.source_offset)
                    text = short(self.json(name))
                    self._add_difference(snapshot, key, found, last, text)

    def _add_difference(
        self, snapshot: TableSnapshot, key: bytes, found: str, last: int, expected: str
    ) -> None:
        at = RecordLocation(self._topic.name, self._partition, last)
        row = snapshot.describe(key)
        text = f"{row}: {found}, but the log up to {at} gives {expected}"
        name = as_text(key)
        expires = self._expiry(self.rows.get(name))
        self._differences.append((name, found, expires, text))
