"""Audits of a World in which messages may be in flight, from a checkpoint on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition

from agents.ops.audit.audit import replays_of
from agents.ops.audit.checkpoint import Checkpoint, capture
from agents.ops.audit.outputs import OutputCheck
from agents.ops.audit.replay import PartitionReplay
from agents.ops.audit.snapshots import AGGREGATES
from topics.topology import GROUPS

from .logs import log, snapshot_of
from .moving_world import MovingWorld
from .shoppers import Shoppers


def shopping(seed: int, steps: int, partitions: int = 1) -> tuple[MovingWorld, Shoppers]:
    """Return a World with a history, and its shoppers."""
    world = MovingWorld(seed, partitions)
    people = Shoppers(world)
    people.open_the_shop()
    people.shop(steps)
    return world, people


@dataclass
class Audit:
    """An audit.

    Attributes:
        lost: the value of records that are not observed.
    """

    world: MovingWorld
    start: Checkpoint = field(default_factory=Checkpoint)
    lost: bytes | None = None
    replays: Mapping[TopicPartition, PartitionReplay] = field(default_factory=dict)
    records: int = 0

    def __post_init__(self) -> None:
        world, start = self.world, self.start
        partitions, held, place = world.located(), world.held(), ("here", world.generation)
        committed = {tp: partition.committed for tp, partition in partitions.items()}
        cuts = start.next_offsets(held, committed)
        start.require(*place, held)
        counts = dict.fromkeys(GROUPS, world.count)
        self.replays = replays_of(start.covered(held), counts, world.generation)
        start.resume(self.replays)
        self.outputs = OutputCheck(start.covered(held), committed, {}, sent=start.sent)
        # A World has only these logs.
        self.outputs.whole = {topic.name for topic in AGGREGATES}
        unread = start.unread(held)
        for tp, replay in self.replays.items():
            stored = snapshot_of(partitions[tp]).stored_keys() if tp in partitions else ()
            replay.capture_at(cuts[tp], stored)
        for tp, partition in partitions.items():
            replay = self.replays[tp]
            replay.compare(snapshot_of(partition, tp.partition))
            for record in log(partition, tp.partition, unread[tp].begin):
                replayed = replay.take(record)
                if record.value != self.lost:
                    self.outputs.take(replayed)
                self.records += 1
        self.differences = [d for each in self.replays.values() for d in each.differences()]
        sent = self.outputs.sent_early()
        self.checkpoint = capture(*place, cuts, self.replays, sent)

    def result(self) -> tuple[Any, ...]:
        """Return all findings."""
        rows = {tp: (r.rows, r.changed_at, r.turnover) for tp, r in self.replays.items()}
        return rows, self.differences, self.outputs.missing, self.outputs.in_flight
