"""The layout of the shop's topics: how often they were repartitioned.

Only `python -m agents.ops.repartition` writes it. A shop that was never repartitioned has
no such topic, and is of generation 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson
from aiokafka.structs import ConsumerRecord

from topics.catalog import SHOP_LAYOUT
from topics.kafka.reader import OffsetRange, TopicReader
from topics.kafka.settings import KafkaSettings
from topics.kafka.topic_admin import TopicsError, kafka_errors

UNFINISHED = (
    "a repartition is unfinished: run it again (make repartition PARTITIONS=…), or with"
    " --abort (make repartition REPARTITION=--abort)"
)

LAYOUT, PLAN = b"layout", b"plan"
"""The keys of its records; the plan is that of an unfinished repartition."""

_MAX_BYTES = 2**19
"""Of its record: brokers take records of at most 1 MiB by default."""


@dataclass(frozen=True, slots=True)
class MovedLog:
    """The records of a log that the shop had processed when it was repartitioned.

    In the new log they come first; those that waited are behind them.

    Attributes:
        old: their range in each old partition.
        new: their range in each new one; it lacks invalid and misrouted ones.
    """

    old: Sequence[OffsetRange]
    new: Sequence[OffsetRange]


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout in force.

    Attributes:
        generation: the number of repartitions until now.
        ignored: by topic and partition, ranges of offsets, each from the first one up to,
            and without, the second. Clients wrote these records into a topic that was being
            filled, among records of its past. Their copies, with this location as their
            origin, lie behind it; they themselves are no part of the log.
        moved: the moved logs of each repartition by its old generation, and by topic. An
            audit needs them, to go on from a checkpoint of that generation.
        plan: of an unfinished repartition, as JSON.
    """

    generation: int = 0
    ignored: Mapping[str, Mapping[int, Sequence[tuple[int, int]]]] = field(
        default_factory=dict
    )
    moved: Mapping[int, Mapping[str, MovedLog]] = field(default_factory=dict)
    plan: bytes | None = None

    def ignores(self, record: ConsumerRecord) -> bool:
        """Return whether a record is no part of its log."""
        if not self.ignored:
            return False
        ranges = self.ignored.get(record.topic, {}).get(record.partition, ())
        return any(begin <= record.offset < end for begin, end in ranges)

    def to_json(self) -> bytes:
        """Return the record of the layout, if need be without the oldest moved logs."""
        fields = {
            "generation": self.generation,
            "ignored": self.ignored,
            "moved": self.moved,
        }
        record = orjson.dumps(fields, option=orjson.OPT_NON_STR_KEYS, default=list)
        if len(record) <= _MAX_BYTES or not self.moved:
            return record
        oldest = min(self.moved)
        later = {at: logs for at, logs in self.moved.items() if at != oldest}
        return replace(self, moved=later).to_json()


async def layout_of(reader: TopicReader) -> Layout:
    """Return the layout in force."""
    if SHOP_LAYOUT.name not in await reader.names():
        return Layout()
    newest: dict[bytes, bytes | None] = {}
    ranges = await reader.offset_ranges({SHOP_LAYOUT: 1})
    async for _, records in reader.read(ranges):
        newest |= {record.key: record.value for record in records}
    stored = orjson.loads(newest.get(LAYOUT) or b"{}")
    ignored = {
        topic: {int(number): ranges for number, ranges in partitions.items()}
        for topic, partitions in stored.get("ignored", {}).items()
    }
    moved = {
        int(generation): {topic: _moved_log(log) for topic, log in logs.items()}
        for generation, logs in stored.get("moved", {}).items()
    }
    return Layout(stored.get("generation", 0), ignored, moved, newest.get(PLAN))


def _moved_log(stored: Mapping[str, Iterable[tuple[int, int]]]) -> MovedLog:
    old, new = ([OffsetRange(*part) for part in stored[name]] for name in ("old", "new"))
    return MovedLog(old, new)


class UnfinishedError(TopicsError):
    """A repartition is unfinished."""


async def require_finished(cluster: KafkaSettings) -> Layout:
    """Return the layout in force.

    Raises:
        UnfinishedError: a repartition is unfinished.
        TopicsError: Kafka does not answer.
    """
    layout = await read_layout(cluster)
    if layout.plan is not None:
        raise UnfinishedError(UNFINISHED)
    return layout


async def read_layout(cluster: KafkaSettings) -> Layout:
    """Return the layout in force.

    Raises:
        TopicsError: Kafka does not answer.
        KafkaAuthenticationError: Kafka refuses the client.
    """
    async with kafka_errors(cluster), TopicReader(cluster) as reader:
        return await layout_of(reader)
