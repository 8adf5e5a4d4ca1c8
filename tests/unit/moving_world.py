"""A World whose partitions are Kafka's; their number changes, while its shop is stopped."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from agents.ops.repartition.logs import parts
from agents.ops.repartition.placement import RequestPlacement
from schemas.contract import Contract
from topics.catalog import TOPIC_OF
from topics.kafka.location import partition_of
from topics.kafka.reader import OffsetRange, OffsetRanges
from topics.layout import MovedLog
from topics.topic import Topic
from topics.topology import LOGS

from .logs import log
from .partition import Partition, Record
from .world import SHOP, World

FILLER = Record(b"")


class MovingWorld(World):
    """A World without delays.

    Attributes:
        generation: how often it was repartitioned.
        moved: the logs of each repartition, by the old generation.
    """

    def __init__(self, seed: int, partitions: int) -> None:
        super().__init__(seed, echoes=0, delays=0)
        self.generation = 0
        self.moved: dict[int, dict[str, MovedLog]] = {}
        self._create(partitions)

    @property
    def count(self) -> int:
        """The number of partitions."""
        return len(next(iter(self.partitions.values())))

    def located(self) -> dict[TopicPartition, Partition]:
        """Return all partitions of the aggregates' topics."""
        return {
            TopicPartition(topic.name, number): partition
            for topic, partitions in self.partitions.items()
            for number, partition in enumerate(partitions)
        }

    def held(self) -> dict[TopicPartition, OffsetRange]:
        """Return the ranges of all logs; those that a World lacks are empty."""
        return {
            TopicPartition(topic.name, number): OffsetRange(0, 0)
            for topic in LOGS
            for number in range(self.count)
        } | {tp: OffsetRange(p.begin, len(p.log)) for tp, p in self.located().items()}

    def stop(self, *, is_clean: bool) -> None:
        """Stop all workers; those that are killed may lose rows."""
        for partition in self.all():
            if is_clean:
                partition.commit()
            else:
                partition.crash(lost=self.random.randrange(len(partition.writes)))

    def forget_before(self, offsets: dict[TopicPartition, int]) -> None:
        """Delete requests."""
        for tp, partition in self.located().items():
            partition.begin = offsets[tp]

    def repartition(self, partitions: int) -> None:
        """Move all records and rows, as the tool does."""
        old, before = self.partitions, self.count
        self._create(partitions)
        self.moved[self.generation] = {
            topic.name: MovedLog(
                [OffsetRange(0, 0)] * before, [OffsetRange(0, 0)] * partitions
            )
            for topic in LOGS
        }
        self.generation += 1
        for topic, of_topic in old.items():
            self.moved[self.generation - 1][topic.name] = self._move(topic, of_topic)

    def _create(self, partitions: int) -> None:
        suffix = f".{self.generation}" if self.generation else ""
        self.partitions = {
            aggregate.requests: [
                Partition(aggregate, f"{aggregate.requests.name}{suffix}-{number}")
                for number in range(partitions)
            ]
            for aggregate in SHOP
        }

    def _move(self, topic: Topic, old: list[Partition]) -> MovedLog:
        new = self.partitions[topic]
        tps = {TopicPartition(topic.name, n): partition for n, partition in enumerate(old)}
        ranges = {tp: OffsetRange(p.begin, len(p.log)) for tp, p in tps.items()}
        committed = {tp: p.committed for tp, p in tps.items()}
        included = {n: p.version for n, p in enumerate(old)}
        begin = int(any(p.begin for p in old))
        for partition in new:
            partition.log += [FILLER] * begin
            partition.begin = begin
        place = RequestPlacement(topic, len(old), len(new), self.generation - 1)
        first, second, third = parts(ranges, committed, included)
        for part, is_processed in ((first, True), (second, True), (third, False)):
            for record, sent in _merged(tps, part):
                placement = place(record, is_processed)
                assert placement
                origin = dict(placement.headers)["origin"].decode()
                is_moved = sent.origin is None or sent.is_moved
                moved = replace(sent, origin=origin, is_moved=is_moved)
                new[placement.partition].log.append(moved)
            for partition in new:
                if part is first:
                    partition.committed = partition.position = len(partition.log)
                if part is second:
                    partition.writes = [({}, len(partition.log))]
        for name, row in (pair for partition in old for pair in partition.rows.items()):
            owner = old[0].aggregate.changelog.owner_of_row(name)
            new[partition_of(owner.encode(), len(new))].rows[name] = row
        return MovedLog(
            [first[tp] for tp in tps], [OffsetRange(begin, p.committed) for p in new]
        )

    def _home(self, request: Contract) -> Partition:
        topic = TOPIC_OF[type(request)]
        number = partition_of(topic.key_of(request), self.count)
        return self.partitions[topic][number]


def _merged(
    partitions: dict[TopicPartition, Partition], part: OffsetRanges
) -> Iterator[tuple[ConsumerRecord, Record]]:
    """Yield records in the order of their time; a World's times are all different."""
    found: Iterable[tuple[ConsumerRecord, Record]] = (
        (record, partition.log[record.offset])
        for tp, partition in partitions.items()
        for record in log(partition, tp.partition, part[tp].begin)
        if record.offset < part[tp].end
    )
    return iter(sorted(found, key=lambda each: each[0].timestamp))
