"""Continues a checkpoint in the logs of a shop that was repartitioned since.

A repartition moves each row with its owner. It writes the processed records of a log first,
those of an owner in their order. So a checkpoint continues in the new logs if its offsets
are at the end of these records, or at their begin. They are at the end if no record was
processed since, and at the begin if `--forget-before` has deleted the records below.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from aiokafka import TopicPartition

from agents.ops.audit.checkpoint import REQUESTS, Checkpoint
from agents.ops.audit.invariants import Balances
from agents.ops.audit.snapshots import AGGREGATES, TableState
from topics.admin import cluster_id
from topics.kafka.location import partition_of
from topics.kafka.reader import ReadError, TopicReader
from topics.kafka.settings import KafkaSettings
from topics.layout import MovedLog, layout_of
from topics.topic import Topic
from topics.topology import GROUPS, LOGS

_ADVICE = (
    "begin at the checkpoint of the last --forget-before. The next time, stop the workers"
    " and write a checkpoint before the repartition"
)


async def continued(checkpoint: Checkpoint, cluster: KafkaSettings) -> Checkpoint:
    """Return a checkpoint with the offsets and tables of the present partitions.

    One of another cluster stays as it is; an audit refuses it.

    Raises:
        ReadError: it does not continue in the present logs.
    """
    if checkpoint.cluster != await cluster_id(cluster):
        return checkpoint
    async with TopicReader(cluster) as reader:
        layout = await layout_of(reader)
    for generation in range(checkpoint.generation, layout.generation):
        checkpoint = move(checkpoint, layout.moved.get(generation, {}))
    return checkpoint


def move(checkpoint: Checkpoint, moved: Mapping[str, MovedLog]) -> Checkpoint:
    """Return a checkpoint of the next generation.

    Args:
        checkpoint: from before a repartition.
        moved: the logs of that repartition.

    Raises:
        ReadError: the logs are not known; or some of the moved records lie below the
            checkpoint's offsets, and others above.
    """
    if any(topic.name not in moved for topic in LOGS):
        text = "whose offsets are not known: an older release did it, or it is too long ago"
        raise ReadError(f"the checkpoint is from before a repartition, {text}")
    offsets: dict[TopicPartition, int] = {}
    tables: dict[TopicPartition, TableState] = {}
    for topic in LOGS:
        log = moved[topic.name]
        of_topic = _new_offsets(checkpoint, topic, log)
        new = _tps(topic, len(of_topic))
        offsets |= zip(new, of_topic, strict=True)
        if topic in GROUPS:
            old = _tps(topic, len(log.old))
            states = [checkpoint.tables[tp] for tp in old if tp in checkpoint.tables]
            tables |= zip(new, _regrouped(topic, states, of_topic), strict=True)
    generation = checkpoint.generation + 1
    return replace(checkpoint, generation=generation, offsets=offsets, tables=tables)


def _new_offsets(checkpoint: Checkpoint, topic: Topic, moved: MovedLog) -> list[int]:
    """Return the offsets in the new partitions with the same records below them.

    Of events and dead letters, the audit may read some again: they have no rows there.
    """
    offsets = [checkpoint.offsets.get(tp, -1) for tp in _tps(topic, len(moved.old))]
    if offsets == [part.end for part in moved.old]:
        return [part.end for part in moved.new]
    if topic.name not in REQUESTS or offsets == [part.begin for part in moved.old]:
        return [part.begin for part in moved.new]
    number, (begin, end) = next(
        (number, part)
        for number, (part, offset) in enumerate(zip(moved.old, offsets, strict=True))
        if offset != part.end
    )
    raise ReadError(
        f"the checkpoint is from before a repartition, which found {topic.name}-{number}"
        f" from {begin} on, processed up to {end}; the checkpoint is at {offsets[number]}:"
        f" {_ADVICE}"
    )


def _regrouped(
    topic: Topic, states: Sequence[TableState], offsets: Sequence[int]
) -> list[TableState]:
    """Return the states of the new partitions: each row is at its owner's.

    The time of the newest record is that of all partitions. A row that has expired by then
    may be deleted.
    """
    rows: list[dict[str, Any]] = [{} for _ in offsets]
    turnover: list[Balances] = [defaultdict(Counter) for _ in offsets]
    for state in states:
        for key, row in state.rows.items():
            owner = AGGREGATES[topic].changelog.owner_of_row(key)
            rows[partition_of(owner.encode(), len(offsets))][key] = row
        for (sku, warehouse), units in state.turnover.items():
            number = partition_of(b"%d" % sku, len(offsets))
            turnover[number][sku, warehouse].update(units)
    newest_ms = max((state.newest_ms for state in states), default=0)
    return [
        TableState(
            offset,
            rows[number],
            dict.fromkeys(rows[number], offset - 1),
            offset,
            newest_ms,
            turnover[number],
        )
        for number, offset in enumerate(offsets)
    ]


def _tps(topic: Topic, partitions: int) -> list[TopicPartition]:
    return [TopicPartition(topic.name, number) for number in range(partitions)]
