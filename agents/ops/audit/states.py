"""Prints rows of a table as they were at an offset of their log."""

from collections.abc import Mapping

import click
from aiokafka import TopicPartition

from agents.ops.audit.invariants import balances, table, violations
from agents.ops.audit.replay import PartitionReplay
from agents.ops.audit.snapshots import AGGREGATES, TableState
from topics.kafka.location import RecordLocation
from topics.kafka.reader import OffsetRange, ReadError, TopicReader
from topics.layout import layout_of


async def print_states(
    locations: list[RecordLocation],
    keys: list[str],
    checkpoint: Mapping[TopicPartition, TableState],
    reader: TopicReader,
) -> None:
    """Print rows, or the balances of stock, after the records below each location."""
    for location in locations:
        replay = await replay_to(location, reader, checkpoint)
        click.echo(f"{location}: {len(replay.rows)} rows")
        for key in keys:
            row = f"{key}: {replay.json(key)}"
            if key in replay.rows:
                row += f", last changed at {replay.changed_at[key]}"
            click.echo(row)
        if not keys and (found := balances(replay.rows, [replay.turnover])):
            click.echo("\n".join((*table(found), *violations(found))))


async def replay_to(
    location: RecordLocation,
    reader: TopicReader,
    checkpoint: Mapping[TopicPartition, TableState],
) -> PartitionReplay:
    """Replay a partition up to an offset, from its state at a checkpoint.

    Raises:
        ReadError: the topic has no table, or the log does not hold these records.
    """
    topics = {topic.name: topic for topic in AGGREGATES}
    if location.topic not in topics:
        raise ReadError(f"{location.topic} has no table; {', '.join(topics)} have")
    topic, tp = topics[location.topic], TopicPartition(*location[:2])
    partitions, layout = await reader.partitions([topic]), await layout_of(reader)
    held = (await reader.offset_ranges(partitions)).get(tp, OffsetRange(0, 0))
    state = checkpoint.get(tp, TableState())
    begin = max(held.begin, state.offset)
    if held.begin > state.offset or not begin <= location.offset <= held.end:
        raise ReadError(f"{tp.topic}-{tp.partition} holds {begin}…{held.end}")
    replay = PartitionReplay(topic, tp.partition, partitions[topic], layout.generation)
    replay.begin_at(state)
    async for _, records in reader.read({tp: OffsetRange(begin, location.offset)}):
        for record in records:
            if not layout.ignores(record):
                replay.take(record)
    return replay
