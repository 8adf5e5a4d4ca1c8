"""Audit a shop: `python -m agents.ops.audit`, the shop of this directory, or of `KAFKA`.

Replays the request topics through the pure rules. Compares the result with the changelogs,
with the replies of the running shop, and with the workers' local stores. Apart from its
queries, the audit writes nothing.

Exit codes: 0 the shop matches its logs; 1 differences or violations; 2 no audit possible.
"""

import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click
import uvloop
from aiokafka import TopicPartition

from agents.ops.audit.audit import audit as audit_shop
from agents.ops.audit.invariants import balances, table, violations
from agents.ops.audit.queries import QueryOptions
from agents.ops.audit.replay import PartitionReplay
from agents.ops.audit.snapshots import AGGREGATES
from topics.cli import FAILED, HELP, MISUSED, OK, on_cluster, paragraphs, raise_file_limit
from topics.kafka.liveness import run_supervised
from topics.kafka.location import RecordLocation
from topics.kafka.reader import OffsetRange, ReadError, TopicReader
from topics.kafka.settings import KafkaSettings
from topics.target import Target

_OFFSET = "TOPIC-PARTITION=OFFSET"


def _location(text: str) -> RecordLocation:
    try:
        return RecordLocation.parse(text.replace("=", "@"))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not {_OFFSET}") from None


@click.command(help=paragraphs(__doc__), context_settings=HELP)
@click.option("--questions", help="queries to each service", default=200, metavar="N")
@click.option("--no-questions", help="send no query to the running shop", is_flag=True)
@click.option("--seed", help="chooses the rows that are queried", default=0)
@click.option("--patience", help="timeout of a reply", default=20.0, metavar="SECONDS")
@click.option(
    "--stores", help="has the workers' state directories", type=Path, metavar="DIR"
)
@click.option("--quiet", help="print only totals, differences and violations", is_flag=True)
@click.option(
    "--at",
    help="only print the table at this offset",
    type=_location,
    multiple=True,
    metavar=_OFFSET,
)
@click.option("--key", help="of a row that --at prints", multiple=True)
# Standard output is for people, except for its last line.
@on_cluster("audit", out=sys.stdout, failed=MISUSED)
def audit(
    target: Target,
    *,
    at: list[RecordLocation],
    key: list[str],
    stores: Path | None,
    quiet: bool,
    **queries: Any,  # noqa: ANN401 -- click's
) -> int:
    """Print the report, or rows at an offset; return the exit code."""
    if at:
        return uvloop.run(run_supervised(target.cluster, partial(_print_states, at, key)))
    limit = 0 if queries["no_questions"] else queries["questions"]
    timeout = timedelta(seconds=queries["patience"])
    options = QueryOptions(limit, queries["seed"], timeout)
    report = uvloop.run(
        run_supervised(target.cluster, partial(audit_shop, options, stores))
    )
    click.echo("\n".join((*report.lines(quiet=quiet), report.json())))
    return FAILED if report.differences or report.violations else OK


async def _print_states(
    locations: list[RecordLocation], keys: list[str], cluster: KafkaSettings
) -> int:
    async with TopicReader(cluster) as reader:
        for location in locations:
            replay = await _replay_to(location, reader)
            click.echo(f"{location}: {len(replay.rows)} rows")
            for key in keys:
                row = f"{key}: {replay.json(key)}"
                if key in replay.rows:
                    row += f", last changed at {replay.changed_at[key]}"
                click.echo(row)
            if not keys and (found := balances(replay.rows, replay.received)):
                click.echo("\n".join((*table(found), *violations(found))))
    return OK


async def _replay_to(location: RecordLocation, reader: TopicReader) -> PartitionReplay:
    """Replay a partition up to an offset.

    Raises:
        ReadError: the topic has no table, or the log does not hold these records.
    """
    topics = {topic.name: topic for topic in AGGREGATES}
    if location.topic not in topics:
        raise ReadError(f"{location.topic} has no table; {', '.join(topics)} have")
    topic, tp = topics[location.topic], TopicPartition(*location[:2])
    partitions = await reader.partitions([topic])
    held = (await reader.offset_ranges(partitions)).get(tp, OffsetRange(0, 0))
    if held.begin or location.offset > held.end:
        raise ReadError(f"{tp.topic}-{tp.partition} holds {held.begin}…{held.end}")
    replay = PartitionReplay(topic, tp.partition, partitions[topic])
    async for _, records in reader.read({tp: OffsetRange(0, location.offset)}):
        for record in records:
            replay.take(record)
    return replay


def main() -> None:
    """Run the audit of the command line."""
    raise_file_limit()
    audit.main(prog_name="python -m agents.ops.audit")


if __name__ == "__main__":
    main()
