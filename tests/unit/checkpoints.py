"""Audits of a World, from a checkpoint on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiokafka import TopicPartition

from agents.ops.audit.audit import replays_of
from agents.ops.audit.checkpoint import Checkpoint, capture
from agents.ops.audit.outputs import OutputCheck
from agents.ops.audit.replay import PartitionReplay
from agents.ops.audit.snapshots import AGGREGATES
from topics.kafka.reader import OffsetRange
from topics.topology import GROUPS, LOGS

from .logs import log, snapshot_of
from .shoppers import Shoppers
from .world import World

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)

EMPTY = {TopicPartition(topic.name, 0): OffsetRange(0, 0) for topic in LOGS}


@dataclass
class Audit:
    """An audit of a World in which messages may be in flight, from a checkpoint on.

    Attributes:
        lost: the value of records that are not observed.
    """

    world: World
    start: Checkpoint = field(default_factory=Checkpoint)
    lost: bytes | None = None
    replays: Mapping[TopicPartition, PartitionReplay] = field(default_factory=dict)
    records: int = 0

    def __post_init__(self) -> None:
        partitions = {
            TopicPartition(p.aggregate.requests.name, 0): p for p in self.world.all()
        }
        held = EMPTY | {tp: OffsetRange(0, len(p.log)) for tp, p in partitions.items()}
        committed = {tp: partition.committed for tp, partition in partitions.items()}
        cuts = self.start.next_offsets(held, committed)
        self.start.require("here", 0, held)
        self.replays = replays_of(self.start.covered(held), dict.fromkeys(GROUPS, 1))
        self.start.resume(self.replays)
        self.outputs = OutputCheck(
            self.start.covered(held), committed, {}, sent=self.start.sent
        )
        # A World has only these logs.
        self.outputs.whole = {topic.name for topic in AGGREGATES}
        unread = self.start.unread(held)
        for tp, replay in self.replays.items():
            stored = snapshot_of(partitions[tp]).stored_keys() if tp in partitions else ()
            replay.capture_at(cuts[tp], stored)
        for tp, partition in partitions.items():
            replay = self.replays[tp]
            replay.compare(snapshot_of(partition))
            for record in log(partition)[unread[tp].begin :]:
                replayed = replay.take(record)
                if record.value != self.lost:
                    self.outputs.take(replayed)
                self.records += 1
        self.differences = [d for each in self.replays.values() for d in each.differences()]
        self.checkpoint = capture("here", 0, cuts, self.replays, self.outputs.sent_early())

    def result(self) -> tuple:
        rows = {tp: (r.rows, r.changed_at, r.turnover) for tp, r in self.replays.items()}
        return rows, self.differences, self.outputs.missing, self.outputs.in_flight


def shopping(seed: int, steps: int) -> tuple[World, Shoppers]:
    world = World(seed, echoes=0, delays=0)
    people = Shoppers(world)
    people.open_the_shop()
    people.shop(steps)
    return world, people
