"""Checkpoints: the state below an offset of each log, where the next audit begins.

The offset of a consumed partition is the one that its group has committed. It is read
before the ends of the logs, so a record beyond those ends has no output below an offset.
Only records between the offset and the end may have some there: these outputs are kept.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from aiokafka import TopicPartition

from agents.ops.audit.replay import PartitionReplay
from agents.ops.audit.snapshots import TableState
from agents.runtime.producer import ProducerRecord
from topics.kafka.reader import OffsetRange, OffsetRanges, ReadError
from topics.topic import TopicKind
from topics.topology import GROUPS

REQUESTS = {topic.name for topic in GROUPS if topic.kind is TopicKind.REQUESTS}
"""The topics that are replayed: their logs must have all records from the offset on."""


@dataclass(frozen=True)
class Checkpoint:
    """The audited state of a shop below an offset of each log.

    Without offsets it is the state before the first record of all logs.

    Attributes:
        cluster: the id of the Kafka cluster.
        generation: the number of repartitions before it.
        offsets: of consumed topics and dead letters; the next audit begins there.
        tables: of the replayed partitions, after the records below the offset.
        sent: outputs of later records that were sent already, maybe below the offset of
            their own partition.
    """

    cluster: str = ""
    generation: int = 0
    offsets: Mapping[TopicPartition, int] = field(default_factory=dict)
    tables: Mapping[TopicPartition, TableState] = field(default_factory=dict)
    sent: Sequence[ProducerRecord] = ()

    def require(self, cluster: str, generation: int, held: OffsetRanges) -> None:
        """Raise a ReadError unless these logs of a cluster continue the checkpoint."""
        if not self.offsets:
            return
        if cluster != self.cluster:
            raise ReadError(f"the checkpoint is of cluster {self.cluster}, not {cluster}")
        if generation != self.generation or held.keys() != self.offsets.keys():
            raise ReadError("the checkpoint is from before a repartition")
        for tp, offset in self.offsets.items():
            begin, end = held[tp]
            if end < offset:
                text = f"{tp.topic}-{tp.partition} ends at {end}, below the checkpoint"
                raise ReadError(f"{text}'s offset {offset}: it is another log of that name")
            if begin > offset and tp.topic in REQUESTS:
                text = f"{tp.topic}-{tp.partition} lacks records: it begins at {begin}"
                raise ReadError(f"{text}, above the checkpoint's offset {offset}")

    def unread(self, held: OffsetRanges) -> dict[TopicPartition, OffsetRange]:
        """Return the ranges of logs from the checkpoint on."""
        return {
            tp: OffsetRange(max(begin, self.offsets.get(tp, 0)), end)
            for tp, (begin, end) in held.items()
        }

    def covered(self, held: OffsetRanges) -> dict[TopicPartition, OffsetRange]:
        """Return the ranges of logs, from 0 where the checkpoint has the first records."""
        return {
            tp: OffsetRange(0 if begin <= self.offsets.get(tp, 0) else begin, end)
            for tp, (begin, end) in held.items()
        }

    def resume(self, replays: Mapping[TopicPartition, PartitionReplay]) -> None:
        """Let replays begin at the checkpoint."""
        for tp, state in self.tables.items():
            if tp in replays:
                replays[tp].begin_at(state)

    def next_offsets(
        self, held: OffsetRanges, committed: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Return the offsets of the next checkpoint.

        Args:
            held: the ranges of the logs, read before those of the audit.
            committed: read in between.

        Raises:
            ReadError: a log has lost records that a replay needs.
        """
        for (topic, number), (begin, _) in self.covered(held).items():
            if begin and topic in REQUESTS:
                text = f"{topic}-{number} has lost its first {begin} records"
                raise ReadError(f"{text}: only an audit --from a checkpoint can write one")
        consumed = {topic.name for topic in GROUPS}
        return {
            tp: max(begin, committed.get(tp, 0)) if tp.topic in consumed else end
            for tp, (begin, end) in self.unread(held).items()
        }


def capture(
    cluster: str,
    generation: int,
    offsets: Mapping[TopicPartition, int],
    replays: Mapping[TopicPartition, PartitionReplay],
    sent: Collection[ProducerRecord],
) -> Checkpoint:
    """Return the checkpoint of replays that have captured their states at its offsets."""
    tables = {tp: replay.captured for tp, replay in replays.items() if replay.captured}
    return Checkpoint(cluster, generation, dict(offsets), tables, tuple(sent))
