"""The plan of a repartition and its progress, stored in the topic `shop.layout`."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Self

from aiokafka import AIOKafkaProducer
from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from topics.catalog import SHOP_LAYOUT
from topics.kafka.reader import OffsetRange
from topics.kafka.settings import KafkaSettings
from topics.layout import LAYOUT, PLAN, Layout, MovedLog

Ranges = list[tuple[int, int]]


class Step(StrEnum):
    """How far a topic is.

    Attributes:
        PLANNED: nothing is done.
        STAGED: its records are in the staging topic.
        FROZEN: it refuses writes, and the staging topic has all of its records.
        DELETED: the old topic is deleted.
        FILLED: the new topic has all of them.
        DONE: the new topic has its settings, and the staging topic is deleted.
    """

    PLANNED = "planned"
    STAGED = "staged"
    FROZEN = "frozen"
    DELETED = "deleted"
    FILLED = "filled"
    DONE = "done"


@dataclass
class TopicPlan:
    """The plan of one topic.

    Attributes:
        partitions: of the old topic.
        replication: copies of each partition.
        config: the settings of the topic itself.
        groups: the offsets of other consumer groups than the shop's, by group and old
            partition.
        ends: the offsets of old partitions up to which records are staged.
        counts: the records that are staged, by new partition, as below.
        processed: the ranges of the records that the shop's group has processed, in the old
            partitions of a log.
        fillers: the first of the staged records are to be deleted: an old partition lacks
            its first ones.
        committed: the offset that the shop's group has to commit.
        included: the offset up to which the rows of the table include the records.
        positions: the offsets that the other groups have to commit, by group.
        ignored: see `Layout.ignored`.
    """

    partitions: int
    replication: int
    config: dict[str, str]
    groups: dict[str, dict[int, int]] = field(default_factory=dict)
    step: Step = Step.PLANNED
    ends: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    processed: Ranges = field(default_factory=list)
    fillers: list[int] = field(default_factory=list)
    committed: list[int] = field(default_factory=list)
    included: list[int] = field(default_factory=list)
    positions: dict[str, list[int]] = field(default_factory=dict)
    ignored: dict[int, Ranges] = field(default_factory=dict)


@dataclass
class Plan:
    """The plan of all topics.

    Attributes:
        partitions: to come.
        generation: to come.
        is_swapping: whether old topics may be deleted already.
        topics: by name.
    """

    partitions: int
    generation: int
    topics: dict[str, TopicPlan]
    is_swapping: bool = False

    def layout_after(self, layout: Layout) -> Layout:
        """Return the layout that is in force when the plan is carried out.

        Args:
            layout: in force until then.
        """
        ignored: Mapping[str, Mapping[int, Ranges]] = {
            name: topic.ignored for name, topic in self.topics.items() if topic.ignored
        }
        moved = {
            name: MovedLog(
                [OffsetRange(*part) for part in topic.processed],
                [*map(OffsetRange, topic.fillers, topic.committed)],
            )
            for name, topic in self.topics.items()
            if topic.processed
        }
        of_all = {**layout.moved, layout.generation: moved}
        return Layout(self.generation, ignored, of_all)


_PLAN = TypeAdapter(Plan)
_BATCH_BYTES = 2**20


def parse(plan: bytes) -> Plan:
    """Return the plan of its JSON."""
    return _PLAN.validate_json(plan)


class PlanStore:
    """Stores the plan, and at last the layout, in the topic `shop.layout`."""

    def __init__(self, cluster: KafkaSettings) -> None:
        # A batch takes a large first record, but no other behind it.
        options = cluster.client_options() | {"max_batch_size": _BATCH_BYTES}
        self._producer = AIOKafkaProducer(**options, acks="all")

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def save(self, plan: Plan) -> None:
        """Store the plan."""
        await self._write((PLAN, _PLAN.dump_json(plan)))

    async def finish(self, layout: Layout) -> None:
        """Store the layout, and delete the plan with it."""
        await self._write((LAYOUT, layout.to_json()), (PLAN, None))

    async def delete(self) -> None:
        """Delete the plan."""
        await self._write((PLAN, None))

    async def _write(self, *records: tuple[bytes, bytes | None]) -> None:
        batch = self._producer.create_batch()
        for key, value in records:
            batch.append(key=key, value=value, timestamp=None)
        batch.close()
        await (await self._producer.send_batch(batch, SHOP_LAYOUT.name, partition=0))
