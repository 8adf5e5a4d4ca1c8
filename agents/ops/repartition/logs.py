"""Stages logs: copies their records into staging topics, which have the new partitions.

Three ranges of each old partition follow each other in the new ones: what the shop's group
has committed; what the rows of the table include beyond that; and the rest. So the group
commits the end of the first range, and the rows have the end of the second one as their
source offset. Within a range, records are in the order of time. Processed records of one
key all lie in one old partition, and so stay in their order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from agents.ops.repartition.copying import MAX_RECORD_BYTES, RecordWriter, merge
from agents.ops.repartition.placement import Place, RequestPlacement, place_by_key
from agents.ops.repartition.plan import Plan, Step, TopicPlan
from agents.runtime.producer import Headers
from topics.kafka.reader import OffsetRange, OffsetRanges, TopicReader
from topics.kafka.settings import KafkaSettings
from topics.kafka.topic_admin import TopicAdmin
from topics.layout import Layout
from topics.topic import Topic, TopicKind

SUFFIX = ".repartitioned"
"""The end of the name of a staging topic."""

FILLER: Headers = [("repartition", b"filler")]

_COPYING = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "message.timestamp.type": "CreateTime",
    "message.timestamp.after.max.ms": str(2**63 - 1),
    "max.message.bytes": str(MAX_RECORD_BYTES),
}
_KEPT = ("min.insync.replicas", "compression.type")

Advance = Callable[[int], None]
"""Reports that so many more records are copied."""

EventLocations = dict[tuple[int, int], int]
"""New offsets by old partition and offset."""


def staging_of(topic: Topic) -> Topic:
    """Return the staging topic of a topic."""
    return replace(topic, name=topic.name + SUFFIX)


def copying(config: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a topic while it is filled: it keeps records and their times.

    Args:
        config: the settings that it has otherwise.
    """
    return _COPYING | kept(config)


def kept(config: Mapping[str, str]) -> dict[str, str]:
    """Return those settings of a topic that its copies need, too."""
    return {name: config[name] for name in _KEPT if name in config}


async def create_staging(admin: TopicAdmin, plan: Plan, topic: Topic) -> Topic:
    """Create the staging topic of a topic; delete an unfinished one before."""
    planned, staging = plan.topics[topic.name], staging_of(topic)
    await admin.delete(staging.name)
    config = copying(planned.config)
    await admin.create_and_wait(staging.name, plan.partitions, planned.replication, config)
    return staging


def parts(
    ranges: OffsetRanges,
    committed: Mapping[TopicPartition, int],
    included: Mapping[int, int],
) -> tuple[OffsetRanges, OffsetRanges, OffsetRanges]:
    """Return the three ranges of each partition: see the module.

    Args:
        ranges: all records that are there.
        committed: by the shop's group; nothing without an entry.
        included: in the rows of the table, by partition.
    """
    first, second, third = {}, {}, {}
    for tp, (begin, end) in ranges.items():
        done = min(max(committed.get(tp, begin), begin), end)
        known = min(max(included.get(tp.partition, 0), done), end)
        first[tp] = OffsetRange(begin, done)
        second[tp] = OffsetRange(done, known)
        third[tp] = OffsetRange(known, end)
    return first, second, third


@dataclass(frozen=True, slots=True)
class LogStaging:
    """Stages the logs of a plan; `layout` is the one that is still in force."""

    cluster: KafkaSettings
    admin: TopicAdmin
    layout: Layout
    plan: Plan

    async def ranges(self, topic: Topic, partitions: int) -> OffsetRanges:
        """Return the offset ranges of a topic, which may have been created just now."""
        async with TopicReader(self.cluster) as reader:
            return await reader.offset_ranges({topic: partitions})

    async def stage(
        self,
        topic: Topic,
        ranges: OffsetRanges,
        progress: tuple[Mapping[TopicPartition, int], Mapping[int, int]],
        events: EventLocations,
        advance: Advance,
    ) -> None:
        """Stage a log from its beginning.

        Args:
            topic: the log.
            ranges: its records.
            progress: the committed and the included offsets, as `parts` takes them.
            events: receives the new offset of each event that is in it.
            advance: reports progress.
        """
        planned = self.plan.topics[topic.name]
        staging = await create_staging(self.admin, self.plan, topic)
        counts, positions = [*planned.fillers], dict[str, dict[int, int]]()
        place, marks = self._placement(topic, planned), list[list[int]]()
        async with RecordWriter(self.cluster, staging.name) as writer:
            for number, fillers in enumerate(planned.fillers):
                for _ in range(fillers):
                    await writer.add(number, None, None, 0, FILLER)
            *done, rest = parts(ranges, *progress)
            planned.processed = [done[0][tp] for tp in sorted(ranges)]
            for part, is_processed in (*((each, True) for each in done), (rest, False)):
                async for record in merge(self.cluster, part):
                    advance(1)
                    placement = place(record, is_processed)
                    if placement is None:
                        continue
                    number, at = placement.partition, (record.partition, record.offset)
                    if at in events:
                        events[at] = counts[number]
                    for group in _unread(planned, record):
                        positions.setdefault(group, {}).setdefault(number, counts[number])
                    counts[number] += 1
                    value, time = record.value, record.timestamp
                    await writer.add(number, record.key, value, time, placement.headers)
                marks.append([*counts])
        planned.committed, planned.included, planned.counts = marks
        planned.ends = [ranges[tp].end for tp in sorted(ranges)]
        planned.positions = {
            group: [positions.get(group, {}).get(n, end) for n, end in enumerate(counts)]
            for group in planned.groups
        }
        planned.step = Step.STAGED

    async def catch_up(self, topic: Topic, advance: Advance) -> None:
        """Stage what a topic received since; it receives no more records now.

        So the order is the same if it is done again, and what is staged can be skipped.
        """
        planned, staging = self.plan.topics[topic.name], staging_of(topic)
        ends = await self.ranges(topic, planned.partitions)
        late = {
            tp: OffsetRange(planned.ends[tp.partition], part.end)
            for tp, part in ends.items()
        }
        staged = await self.ranges(staging, self.plan.partitions)
        left = [staged[tp].end - planned.counts[tp.partition] for tp in sorted(staged)]
        place, counts = self._placement(topic, planned), [*planned.counts]
        async with RecordWriter(self.cluster, staging.name) as writer:
            async for record in merge(self.cluster, late):
                advance(1)
                if (placement := place(record, False)) is None:
                    continue
                number = placement.partition
                counts[number] += 1
                if left[number]:
                    left[number] -= 1
                    continue
                value, time = record.value, record.timestamp
                await writer.add(number, record.key, value, time, placement.headers)
        planned.counts = counts
        planned.step = Step.FROZEN

    def _placement(self, topic: Topic, planned: TopicPlan) -> Place:
        old, new = planned.partitions, self.plan.partitions
        if topic.kind is TopicKind.DEAD_LETTERS:
            return lambda record, _: place_by_key(record, new)
        place = RequestPlacement(topic, old, new, self.layout.generation)
        ignores = self.layout.ignores
        return lambda record, done: None if ignores(record) else place(record, done)


def _unread(planned: TopicPlan, record: ConsumerRecord) -> list[str]:
    """Return the groups that have not read a record."""
    return [
        group
        for group, offsets in planned.groups.items()
        if record.offset >= offsets.get(record.partition, 0)
    ]
