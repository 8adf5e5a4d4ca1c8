"""All partitions folded side by side, and each record held against what else is known."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import partial

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from agents.ops.audit.copies import Snapshots
from agents.ops.audit.invariants import StockLocation, put_in
from agents.ops.audit.outputs import OutputCheck
from agents.ops.audit.queries import QueryCheck
from agents.ops.audit.replay import AnyAggregate, PartitionReplay, ReplayedRecord
from agents.ops.audit.report import Report
from agents.ops.audit.snapshots import Difference, TableSnapshot, ahead_of_log, compare
from schemas.order import OrderStatusChanged
from topics.catalog import SENT_CHANGELOG
from topics.kafka.reader import OffsetRanges
from topics.topic import Topic
from topics.topology import AGGREGATES, GROUPS

_FOLDED = frozenset(topic.name for topic in AGGREGATES)


class LogReplay:
    """The fold of all logs.

    Args:
        spans: what they hold; one that has lost its beginning is not folded.
        partitions: how many each topic has.
        promises: what records had to say.
        answers: what was asked of the running shop.
        report: is told what is wrong.

    Attributes:
        replays: the fold of each partition.
        received: pieces that the log says were put in, by partition.
        partitions: how many each topic has.
        promises: what records had to say.
    """

    def __init__(
        self,
        spans: OffsetRanges,
        partitions: Mapping[Topic, int],
        promises: OutputCheck,
        answers: QueryCheck,
        report: Report,
    ) -> None:
        self.replays = {
            tp: PartitionReplay(topic, number, there, AGGREGATES.get(topic))
            for topic, there in partitions.items()
            for number in range(there)
            if topic in GROUPS
            and spans[tp := TopicPartition(topic.name, number)].begin == 0
        }
        self.received: defaultdict[int, Counter[StockLocation]] = defaultdict(Counter)
        self.partitions = partitions
        self.promises = promises
        self._spans = spans
        self._answers = answers
        self._report = report
        self._notices: Snapshots = {}
        self._differences: list[tuple[PartitionReplay, Difference]] = []

    @property
    def is_whole(self) -> bool:
        """Whether all tables were folded from their logs' first records."""
        return all(
            TopicPartition(topic.name, number) in self.replays
            for topic in AGGREGATES
            for number in range(self.partitions[topic])
        )

    @property
    def is_quiet(self) -> bool:
        """Whether all that the logs hold was done when the audit began."""
        committed = self.promises.committed
        return all(
            committed.get(tp, 0) >= span.end
            for tp, span in self._spans.items()
            if tp.topic in _FOLDED
        )

    def expect(self, aggregate: AnyAggregate, copy: TableSnapshot) -> None:
        """Compare a copy of a table when exactly what it says it holds is folded in."""
        tp = TopicPartition(aggregate.requests.name, copy.partition)
        replay = self.replays.get(tp)
        if replay is None:
            return
        if copy.version > self._spans[tp].end:
            found = ahead_of_log(replay, copy, self._spans[tp].end)
            self._report.differences.append(found)
        replay.at_offset(copy.version, partial(self._compare, replay, copy))

    def expect_notices(self, copies: Snapshots) -> None:
        """Hold each fact whose reader is done with it against the notices sent."""
        self._notices = copies

    def take(self, tp: TopicPartition, records: Iterable[ConsumerRecord]) -> None:
        """Fold records of a partition in."""
        replay = self.replays.get(tp)
        for record in records:
            if replay is None:
                self.promises.observe(record, None)
            else:
                self._take(replay, record)

    def finish(self) -> None:
        """Note that all logs were read to their ends."""
        for tp, replay in self.replays.items():
            replay.advance_to(max(self._spans[tp].end, replay.furthest_stop))
        self._report.differences += [
            found for replay, found in self._differences if not found.is_erased(replay)
        ]

    def _take(self, replay: PartitionReplay, record: ConsumerRecord) -> None:
        replayed = replay.take(record)
        self.promises.take(replayed)
        if replayed.envelope is None:
            return
        if replay.aggregate is not None:
            self._answers.take(replayed, replay.aggregate)
        if pieces := put_in(replayed):
            self.received[replay.partition].update(pieces)
        if isinstance(replayed.envelope.request, OrderStatusChanged):
            self._check_notice(replayed, replayed.envelope.request.event_id)

    def _check_notice(self, replayed: ReplayedRecord, event_id: str) -> None:
        at = TopicPartition(replayed.record.topic, replayed.record.partition)
        done = replayed.record.offset < self.promises.committed.get(at, 0)
        sent = self._notices.get((SENT_CHANGELOG, at.partition))
        if done and (sent is None or event_id.encode() not in sent.rows):
            where = f"{at.topic}-{at.partition}@{replayed.record.offset}"
            self._report.violations.append(
                f"{where} is committed, and {SENT_CHANGELOG.name} has no notice of {event_id}"
            )

    def _compare(self, replay: PartitionReplay, copy: TableSnapshot) -> None:
        self._differences += [(replay, found) for found in compare(replay, copy)]
