"""Replays the request topics from their first records through the pure rules.

Undecodable, misrouted and badly addressed records pass through the worker's own router.
Only Kafka, tables and clocks are left out. Each snapshot of a table is compared with the
replay of exactly the records that it includes.
"""

import sys
from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from agents.aggregate import OutgoingMessage
from agents.ops.audit.snapshots import (
    AGGREGATES,
    NO_ROW,
    TableSnapshot,
    adapter_of,
    as_text,
    short,
)
from agents.runtime.collector import RecordCollector
from agents.runtime.deserializer import Envelope
from agents.runtime.producer import ProducerRecord
from agents.runtime.router import RecordRouter
from agents.runtime.transaction import fold
from schemas.contract import Contract
from topics.kafka.location import RecordLocation
from topics.kafka.reader import OffsetRange, OffsetRanges, ReadError, TopicReader
from topics.layout import layout_of
from topics.topic import Topic
from topics.topology import GROUPS


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


@dataclass(frozen=True, slots=True)
class TableState:
    """A partition of a table after the records below an offset.

    Attributes:
        changed_at: by key, the offset of the last record that changed a row.
        changed_end: the end of the records that changed any row, deleted ones included.
    """

    offset: int = 0
    rows: Mapping[str, Any] = field(default_factory=dict)
    changed_at: Mapping[str, int] = field(default_factory=dict)
    changed_end: int = 0


class PartitionReplay:
    """The replay of one partition, and its differences from snapshots.

    In a topic without a table, only invalid and misrouted records have effects.

    Attributes:
        changed_at: the offset of the last record that changed each row.
        captured: the state at the offset of `capture_at`, once it is replayed.
    """

    def __init__(
        self, topic: Topic, partition: int, partitions: int, generation: int = 0
    ) -> None:
        self.rows: dict[str, Any] = {}
        self.changed_at: dict[str, int] = {}
        self._topic = topic
        self._partition = partition
        self._aggregate = AGGREGATES.get(topic)
        self._router = RecordRouter(topic, partitions, generation)
        self._offset = -1
        self._begin, self._changed_end = 0, 0
        self._capture_at: int | None = None
        self.captured: TableState | None = None
        self._snapshots: list[TableSnapshot] = []
        self._differences: list[tuple[str, str, str]] = []

    def begin_at(self, state: TableState) -> None:
        """Begin at the state of a checkpoint."""
        self.rows, self.changed_at = {**state.rows}, {**state.changed_at}
        self._offset, self._changed_end = state.offset - 1, state.changed_end
        self._begin = state.changed_end

    def capture_at(self, offset: int) -> None:
        """Capture the state once the records below an offset are replayed."""
        self._capture_at = offset

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
        out = RecordCollector(self._topic)
        envelope = self._router.route(record, out)
        if envelope is None or self._aggregate is None:
            return ReplayedRecord(record, envelope, records_sent=_sent(out))
        keys, before, after, messages = fold(self._aggregate, self, envelope)
        for message in messages:
            out.add(message, envelope)
        changed = after is not before
        return ReplayedRecord(record, envelope, keys, after, changed, messages, _sent(out))

    def state(self, keys: tuple[str, ...]) -> Any:  # noqa: ANN401 -- of any aggregate
        """Return the state under these keys."""
        return self._aggregate and self._aggregate.state(*map(self.rows.get, keys))

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
        return adapter_of(self._aggregate, key).dump_json(row).decode()

    def differences(self) -> list[str]:
        """Return all differences, once the log is replayed.

        A row may be missing because the log deletes it later. Kafka also drops the
        deletion, a day after compaction. Then no record of the changelog shows that its
        end lies beyond the deletion.
        """
        self._reach(sys.maxsize)
        return [
            text
            for name, found, text in self._differences
            if found != NO_ROW or name in self.rows
        ]

    def _reach(self, offset: int) -> None:
        """Compare and capture what lies at or below the offset of the next record."""
        self._compare_up_to(offset)
        if self._capture_at is not None and self._capture_at <= offset:
            rows, end = {**self.rows}, self._changed_end
            changed_at = {key: self.changed_at[key] for key in rows}
            self.captured = TableState(self._capture_at, rows, changed_at, end)
            self._capture_at = None

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
                if value != self.rows.get(name):
                    last = self.changed_at.get(name, snapshot.source_offset)
                    expected = short(self.json(name))
                    self._add_difference(snapshot, key, found, last, expected)

    def _add_difference(
        self, snapshot: TableSnapshot, key: bytes, found: str, last: int, expected: str
    ) -> None:
        at = RecordLocation(self._topic.name, self._partition, last)
        row = snapshot.describe(key)
        text = f"{row}: {found}, but the log up to {at} gives {expected}"
        self._differences.append((as_text(key), found, text))


def replays_of(
    ranges: OffsetRanges, partitions: Mapping[Topic, int], generation: int = 0
) -> dict[TopicPartition, PartitionReplay]:
    """Return the replays of all partitions that still have their first records."""
    return {
        tp: PartitionReplay(topic, number, partitions[topic], generation)
        for topic in GROUPS
        for number in range(partitions[topic])
        if ranges[tp := TopicPartition(topic.name, number)].begin == 0
    }


async def replay_to(
    location: RecordLocation,
    reader: TopicReader,
    checkpoint: Mapping[TopicPartition, TableState],
) -> PartitionReplay:
    """Replay a partition up to an offset, from its state at a checkpoint.

    Raises:
        ReadError: the topic has no table, or the log does not hold these records.
    """
    topics = {topic.name: topic for topic in AGGREGATES}
    if location.topic not in topics:
        raise ReadError(f"{location.topic} has no table; {', '.join(topics)} have")
    topic, tp = topics[location.topic], TopicPartition(*location[:2])
    partitions, layout = await reader.partitions([topic]), await layout_of(reader)
    held = (await reader.offset_ranges(partitions)).get(tp, OffsetRange(0, 0))
    state = checkpoint.get(tp, TableState())
    begin = max(held.begin, state.offset)
    if held.begin > state.offset or not begin <= location.offset <= held.end:
        raise ReadError(f"{tp.topic}-{tp.partition} holds {begin}…{held.end}")
    replay = PartitionReplay(topic, tp.partition, partitions[topic], layout.generation)
    replay.begin_at(state)
    async for _, records in reader.read({tp: OffsetRange(begin, location.offset)}):
        for record in records:
            if not layout.ignores(record):
                replay.take(record)
    return replay


def _sent(out: RecordCollector) -> list[ProducerRecord]:
    return [*out.commands, *out.replies_and_events]
