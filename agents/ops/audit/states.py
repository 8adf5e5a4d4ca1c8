"""Prints rows of a table as they were at an offset of their log."""

from collections.abc import Mapping

import click
from aiokafka import TopicPartition

from agents.ops.audit.invariants import balances, table, violations
from agents.ops.audit.replay import TableState, replay_to
from topics.kafka.location import RecordLocation
from topics.kafka.reader import TopicReader


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
        if not keys and (found := balances(replay.rows)):
            click.echo("\n".join((*table(found), *violations(found))))
