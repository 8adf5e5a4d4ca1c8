"""Replays the request topics from their first records through the pure rules.

Undecodable, misrouted and badly addressed records pass through the worker's own router.
Only Kafka, tables and clocks are left out. Each snapshot of a table is compared with the
replay of exactly the records that it includes.
"""

import sys
from bisect import insort
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from agents.aggregate import OutgoingMessage
from agents.ops.audit.snapshots import (
    AGGREGATES,
    NO_ROW,
    SOURCES,
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
from schemas.stock import ReceiveStock
from topics.kafka.location import RecordLocation
from topics.kafka.reader import OffsetRanges
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


class PartitionReplay:
    """The replay of one partition, and its differences from snapshots.

    In a topic without a table, only invalid and misrouted records have effects.

    Attributes:
        changed_at: the offset of the last record that changed each row.
        received: units that were put into a warehouse, by sku and warehouse.
    """

    def __init__(self, topic: Topic, partition: int, partitions: int) -> None:
        self.topic = topic
        self.partition = partition
        self.rows: dict[str, Any] = {}
        self.changed_at: dict[str, int] = {}
        self.received: Counter[tuple[int, int]] = Counter()
        self._aggregate = AGGREGATES.get(topic)
        self._router = RecordRouter(topic, partitions)
        self._offset = 0
        self._snapshots: list[TableSnapshot] = []
        self._differences: list[tuple[str, str, str]] = []

    def compare(self, snapshot: TableSnapshot, end: int) -> None:
        """Compare a snapshot once exactly its records are replayed; `end` is of the log."""
        insort(self._snapshots, snapshot, key=lambda each: -each.source_offset)
        offset = snapshot.source_offset
        if offset > end:
            rows = snapshot.rows.items()
            key = next((key for key, e in rows if e.row.source_offset == offset), b"")
            found = f"it includes {offset} records"
            self._add_difference(snapshot, key, found, end, "no more records")

    def take(self, record: ConsumerRecord) -> ReplayedRecord:
        """Replay the next record."""
        self._compare_up_to(record.offset)
        self._offset = record.offset
        out = RecordCollector(self.topic)
        envelope = self._router.route(record, out)
        if envelope is None or self._aggregate is None:
            return ReplayedRecord(record, envelope, records_sent=_sent(out))
        keys, before, after, messages = fold(self._aggregate, self, envelope)
        for message in messages:
            out.add(message, envelope)
        changed, request = after is not before, envelope.request
        if changed and isinstance(request, ReceiveStock):
            self.received[request.sku, request.warehouse_id] += request.count
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
        self._compare_up_to(sys.maxsize)
        erased = self.changed_at.keys() - self.rows.keys()
        return [
            text
            for key, found, text in self._differences
            if found != NO_ROW or key not in erased
        ]

    def _compare_up_to(self, offset: int) -> None:
        while self._snapshots and self._snapshots[-1].source_offset <= offset:
            snapshot = self._snapshots.pop()
            for key in snapshot.rows.keys() | {key.encode() for key in self.rows}:
                name = as_text(key)
                value, found = snapshot.decoded(key)
                if value != self.rows.get(name) or (value is None and found is not NO_ROW):
                    last = self.changed_at.get(name, snapshot.source_offset)
                    expected = short(self.json(name))
                    self._add_difference(snapshot, key, found, last, expected)

    def _add_difference(
        self, snapshot: TableSnapshot, key: bytes, found: str, last: int, expected: str
    ) -> None:
        name, row = as_text(key), snapshot.rows.get(key)
        at = row.at if row else f"partition {snapshot.partition}"
        text = (
            f"{snapshot.store or snapshot.changelog.name} row {name!r} at {at}, source"
            f" offset {snapshot.source_offset}: {found}, but the log up to"
            f" {RecordLocation(self.topic.name, self.partition, last)} gives {expected}"
        )
        self._differences.append((name, found, text))


class LogReplay:
    """The replay of all partitions that still have their first records.

    Attributes:
        whole_topics: no partition of them has lost records.
    """

    def __init__(self, ranges: OffsetRanges, partitions: Mapping[Topic, int]) -> None:
        self.ranges = ranges
        cut = {tp.topic for tp, held in ranges.items() if held.begin}
        self.whole_topics = frozenset(tp.topic for tp in ranges) - cut
        self.replays = {
            tp: PartitionReplay(topic, number, count)
            for topic, count in partitions.items()
            for number in range(count)
            if topic in GROUPS
            and ranges[tp := TopicPartition(topic.name, number)].begin == 0
        }

    def compare(self, snapshots: Iterable[TableSnapshot]) -> None:
        """Compare snapshots, each once exactly its records are replayed."""
        for snapshot in snapshots:
            if source := SOURCES.get(snapshot.changelog):
                tp = TopicPartition(source.requests.name, snapshot.partition)
                if replay := self.replays.get(tp):
                    replay.compare(snapshot, self.ranges[tp].end)

    def take(
        self, tp: TopicPartition, records: Iterable[ConsumerRecord]
    ) -> Iterator[ReplayedRecord]:
        """Replay records of a partition, each when its effects are requested."""
        replay = self.replays.get(tp)
        yield from map(replay.take if replay else ReplayedRecord, records)

    def differences(self) -> list[str]:
        """Return the differences of all snapshots, once all logs are replayed."""
        return [text for each in self.replays.values() for text in each.differences()]


def _sent(out: RecordCollector) -> list[ProducerRecord]:
    return [*out.commands, *out.replies_and_events]
