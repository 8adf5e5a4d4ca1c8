"""Fills a new topic from its staging topic, and proves that it has all records in order.

The new topic has the name that clients know, so they may write into it meanwhile. A record
of theirs among those of the past could be taken for a processed one. So its copy is
appended behind them, and `Layout.ignored` excludes the record itself.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from agents.ops.repartition.copying import RecordWriter
from agents.ops.repartition.logs import Advance, staging_of
from agents.ops.repartition.plan import Ranges, TopicPlan
from agents.runtime.deserializer import ORIGIN
from agents.runtime.producer import Headers
from topics.cli import CommandError
from topics.kafka import headers as names
from topics.kafka.location import identity
from topics.kafka.reader import OffsetRange, TopicReader
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic

_WAIT_MS = 2

HeadersOf = Callable[[ConsumerRecord], Headers]
"""Returns the headers of a staged record in the new topic."""


@dataclass
class _Filled:
    """How far a partition of the new topic is filled.

    Attributes:
        count: the staged records that it has.
        begin, committed, included: its offsets; see `TopicPlan`.
        foreign: records of clients among those that the rows include.
        behind: origins and values of the other records behind those.
    """

    count: int = 0
    begin: int = 0
    committed: int = 0
    included: int = 0
    foreign: list[ConsumerRecord] = field(default_factory=list)
    behind: set[tuple[bytes | None, bytes | None]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Filling:
    """The filling of one new topic.

    Attributes:
        generation: of the new topic.
    """

    cluster: KafkaSettings
    topic: Topic
    planned: TopicPlan
    generation: int
    headers_of: HeadersOf

    async def run(self, advance: Advance) -> list[ConsumerRecord]:
        """Copy what the new topic lacks; return the foreign that have no copy behind.

        The plan then has the offsets of the new topic.

        Raises:
            CommandError: the new topic differs from the staging topic.
        """
        planned = self.planned
        await self._copy(await self._compare(), advance)
        filled = await self._compare()
        if [each.count for each in filled] != planned.counts:
            name = self.topic.name
            raise CommandError(f"{name} differs from {staging_of(self.topic).name}")
        planned.fillers = [each.begin for each in filled]
        planned.committed = [each.committed for each in filled]
        planned.included = [each.included for each in filled]
        planned.ignored = {
            number: _ranges(record.offset for record in each.foreign)
            for number, each in enumerate(filled)
            if each.foreign
        }
        return [
            record
            for each in filled
            for record in each.foreign
            if (_origin_of_copy(record, self.generation), record.value) not in each.behind
        ]

    async def append(self, foreign: Iterable[ConsumerRecord]) -> None:
        """Append copies of records to their partitions, with their locations as origins."""
        async with RecordWriter(self.cluster, self.topic.name) as writer:
            for record in foreign:
                origin = names.ORIGIN, _origin_of_copy(record, self.generation)
                headers, time = [*record.headers, origin], record.timestamp
                await writer.add(record.partition, record.key, record.value, time, headers)

    async def _copy(self, filled: list[_Filled], advance: Advance) -> None:
        staging = staging_of(self.topic).name
        staged = {
            TopicPartition(staging, number): OffsetRange(filled[number].count, count)
            for number, count in enumerate(self.planned.counts)
        }
        async with (
            TopicReader(self.cluster) as reader,
            RecordWriter(self.cluster, self.topic.name) as writer,
        ):
            async for tp, records in reader.read(staged):
                for record in records:
                    headers, time = self.headers_of(record), record.timestamp
                    await writer.add(tp.partition, record.key, record.value, time, headers)
                advance(len(records))

    async def _compare(self) -> list[_Filled]:
        """Return how far each partition of the new topic is filled."""
        counts, staging = self.planned.counts, staging_of(self.topic)
        async with (
            TopicReader(self.cluster, _WAIT_MS) as staged,
            TopicReader(self.cluster, _WAIT_MS) as new,
        ):
            ranges = await new.offset_ranges({self.topic: len(counts)})
            if not any(part.end for part in ranges.values()):
                return [_Filled() for _ in counts]
            filled = []
            for number, count in enumerate(counts):
                tp = TopicPartition(self.topic.name, number)
                source = TopicPartition(staging.name, number)
                wanted = _records(staged, source, OffsetRange(0, count))
                found = _records(new, tp, ranges[tp])
                filled.append(await self._matched(wanted, found, number))
            return filled

    async def _matched(
        self,
        staged: AsyncIterator[ConsumerRecord],
        found: AsyncIterator[ConsumerRecord],
        number: int,
    ) -> _Filled:
        """Compare one partition: it has staged records in their order, and others."""
        planned = self.planned
        filled, wanted = _Filled(), await anext(staged, None)
        async for record in found:
            if wanted is not None and _is_copy(record, wanted, self.headers_of(wanted)):
                filled.count += 1
                if filled.count == planned.fillers[number]:
                    filled.begin = record.offset + 1
                if filled.count == planned.committed[number]:
                    filled.committed = record.offset + 1
                if filled.count == planned.included[number]:
                    filled.included = record.offset + 1
                wanted = await anext(staged, None)
            elif filled.count < planned.included[number]:
                filled.foreign.append(record)
            else:
                filled.behind.add((_origin(record), record.value))
        return filled


async def _records(
    reader: TopicReader, tp: TopicPartition, part: OffsetRange
) -> AsyncIterator[ConsumerRecord]:
    async for _, records in reader.read({tp: part}):
        for record in records:
            yield record


def _is_copy(record: ConsumerRecord, staged: ConsumerRecord, headers: Headers) -> bool:
    return (
        record.value == staged.value
        and record.key == staged.key
        and record.timestamp == staged.timestamp
        and [*record.headers] == headers
    )


def _origin(record: ConsumerRecord) -> bytes | None:
    """Return the origin in the headers of a record; None: it is its own origin."""
    origin = dict(record.headers).get(names.ORIGIN) or b""
    return origin if ORIGIN.fullmatch(origin) else None


def _origin_of_copy(record: ConsumerRecord, generation: int) -> bytes:
    return _origin(record) or identity(record, generation).encode()


def _ranges(offsets: Iterable[int]) -> Ranges:
    """Return ascending offsets as ranges."""
    ranges: Ranges = []
    for offset in offsets:
        if ranges and ranges[-1][1] == offset:
            ranges[-1] = ranges[-1][0], offset + 1
        else:
            ranges.append((offset, offset + 1))
    return ranges
