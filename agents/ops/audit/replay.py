"""Replays the request topics from their first records through the pure rules.

Undecodable, misrouted and badly addressed records pass through the worker's own router.
Only Kafka, tables and clocks are left out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from pydantic import TypeAdapter

from agents.aggregate import Aggregate, OutgoingMessage
from agents.checkout.service import CART_AGGREGATE
from agents.loms.service import ORDER_AGGREGATE, STOCK_AGGREGATE
from agents.runtime.collector import RecordCollector
from agents.runtime.deserializer import Envelope
from agents.runtime.producer import ProducerRecord
from agents.runtime.router import RecordRouter
from agents.runtime.transaction import fold
from topics.kafka.reader import OffsetRanges
from topics.topic import Topic
from topics.topology import GROUPS

AnyAggregate = Aggregate[Any, Any, Any]

AGGREGATES: dict[Topic, AnyAggregate] = {
    aggregate.requests: aggregate
    for aggregate in (CART_AGGREGATE, ORDER_AGGREGATE, STOCK_AGGREGATE)
}
"""The aggregates by their request topics."""

SOURCES = {aggregate.changelog: aggregate for aggregate in AGGREGATES.values()}
"""The aggregates by their changelogs."""


@dataclass(frozen=True, slots=True)
class ReplayedRecord:
    """The effects of a record.

    Attributes:
        envelope: the request; None: no request, or one of another partition.
        keys: of the rows that the request concerns.
        before: the state before the record.
        after: the state after the record; the same object if nothing changed.
        messages: of the rules.
        records_sent: of the runtime, replies included.
    """

    record: ConsumerRecord
    envelope: Envelope | None = None
    keys: tuple[str, ...] = ()
    before: Any = None
    after: Any = None
    messages: Sequence[OutgoingMessage] = ()
    records_sent: Sequence[ProducerRecord] = ()

    @property
    def changed(self) -> bool:
        """Whether the record changed the state."""
        return self.after is not self.before

    @property
    def tp(self) -> TopicPartition:
        """The partition of the record."""
        return TopicPartition(self.record.topic, self.record.partition)


class PartitionReplay:
    """The replay of one partition.

    Args:
        topic: the request topic.
        partition: which partition of it.
        partitions: how many it has.
        aggregate: whose rules decide; None: the topic has no table, and only records that
            are no request, or misrouted, have effects.

    Attributes:
        rows: the table, as values.
        changed_at: the offset of the last record that changed each row.
        offset: the end of the replayed records.
    """

    def __init__(
        self,
        topic: Topic,
        partition: int,
        partitions: int,
        aggregate: AnyAggregate | None = None,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.aggregate = aggregate
        self.rows: dict[str, Any] = {}
        self.changed_at: dict[str, int] = {}
        self.offset = 0
        self._router = RecordRouter(topic, partitions)
        self._stops: list[tuple[int, Callable[[], None]]] = []

    def at_offset(self, offset: int, callback: Callable[[], None]) -> None:
        """Call back when exactly the records below an offset are replayed."""
        self._stops.append((offset, callback))
        self._stops.sort(key=lambda stop: -stop[0])

    @property
    def last_stop(self) -> int:
        """The highest offset of a callback that is still due."""
        return self._stops[0][0] if self._stops else 0

    def advance_to(self, offset: int) -> None:
        """Run the callbacks up to an offset: no further record lies below it."""
        while self._stops and self._stops[-1][0] <= offset:
            self._stops.pop()[1]()
        self.offset = max(self.offset, offset)

    def take(self, record: ConsumerRecord) -> ReplayedRecord:
        """Replay the next record."""
        self.advance_to(record.offset)
        self.offset = record.offset + 1
        out = RecordCollector(self.topic)
        envelope = self._router.route(record, out)
        if envelope is None or self.aggregate is None:
            return ReplayedRecord(record, envelope, records_sent=_sent(out))
        keys, before, after, messages = fold(self.aggregate, self, envelope)
        for message in messages:
            out.add(message, envelope)
        return ReplayedRecord(record, envelope, keys, before, after, messages, _sent(out))

    def state(self, keys: tuple[str, ...]) -> Any:  # noqa: ANN401 -- of any aggregate
        """Return the state under these keys."""
        return self.aggregate and self.aggregate.state(*map(self.rows.get, keys))

    def put(self, keys: tuple[str, ...], after: Any) -> None:  # noqa: ANN401
        """Keep the state after the record that is being replayed."""
        rows = after if len(keys) > 1 else (after,)
        for key, row in zip(keys, rows, strict=True):
            if row is not self.rows.get(key):
                self.changed_at[key] = self.offset - 1
                self.rows[key] = row
                if row is None:
                    del self.rows[key]


class LogReplay:
    """The replay of all partitions that still have their first records.

    Args:
        ranges: the offsets that all logs hold.
        partitions: the number of partitions of each topic.

    Attributes:
        replays: by partition.
    """

    def __init__(self, ranges: OffsetRanges, partitions: Mapping[Topic, int]) -> None:
        self.ranges = ranges
        self.partitions = partitions
        self.replays = {
            tp: PartitionReplay(topic, number, count, AGGREGATES.get(topic))
            for topic, count in partitions.items()
            for number in range(count)
            if topic in GROUPS
            and ranges[tp := TopicPartition(topic.name, number)].begin == 0
        }

    @property
    def is_whole(self) -> bool:
        """Whether all tables are replayed."""
        return all(
            TopicPartition(topic.name, number) in self.replays
            for topic in AGGREGATES
            for number in range(self.partitions[topic])
        )

    def take(
        self, tp: TopicPartition, records: Iterable[ConsumerRecord]
    ) -> Iterator[ReplayedRecord]:
        """Replay records of a partition, each when its effects are requested."""
        replay = self.replays.get(tp)
        yield from map(replay.take if replay else ReplayedRecord, records)

    def finish(self) -> None:
        """Run the callbacks that are still due: all logs are read to their ends."""
        for tp, replay in self.replays.items():
            replay.advance_to(max(self.ranges[tp].end, replay.last_stop))


def adapter_of(aggregate: AnyAggregate, key: str) -> TypeAdapter[Any]:
    """Return the adapter of a row's JSON; a key with a slash has the second one."""
    return aggregate.adapters[min(key.count("/"), len(aggregate.adapters) - 1, 1)]


def _sent(out: RecordCollector) -> list[ProducerRecord]:
    return [*out.commands, *out.replies_and_events]
