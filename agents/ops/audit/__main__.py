"""Audit a shop: `python -m agents.ops.audit`, the shop of this directory, or of `KAFKA`.

Replays the request topics through the pure rules. Compares the result with the changelogs,
with the replies of the running shop, and with the workers' local stores. Apart from its
queries, the audit writes nothing.

Exit codes: 0 the shop matches its logs; 1 differences or violations; 2 no audit possible.
"""

import sys
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click
from aiokafka import TopicPartition

from agents.ops.audit.invariants import balances, inconsistencies, table, violations
from agents.ops.audit.outputs import OutputCheck
from agents.ops.audit.queries import QueryCheck, QueryOptions, send_queries, unanswered
from agents.ops.audit.replay import (
    PartitionReplay,
    ReplayedRecord,
    replay_to,
    replays_of,
)
from agents.ops.audit.report import Report
from agents.ops.audit.snapshots import (
    SOURCES,
    Snapshots,
    read_changelogs,
    read_local_stores,
)
from topics import cli
from topics.admin import cluster_id
from topics.catalog import STOCK_CHANGELOG
from topics.cli import raise_file_limit
from topics.kafka.location import RecordLocation
from topics.kafka.reader import TopicReader
from topics.kafka.settings import KafkaSettings
from topics.target import Target
from topics.topic import Topic
from topics.topology import CHANGELOGS, GROUPS, LOGS

_OFFSET = "TOPIC-PARTITION=OFFSET"


async def audit_shop(
    options: QueryOptions, stores: Path | None, cluster: KafkaSettings
) -> Report:
    """Audit a shop, also while it runs.

    The order of reads makes that possible: committed offsets, changelogs, queries, then
    the ends of the logs. All outputs of a committed record lie below those ends, no
    changelog includes a record beyond them, and the queries are among the replayed records.
    Without a directory of `stores`, none are compared.
    """
    began, count, report = time.monotonic(), 0, Report()
    async with TopicReader(cluster) as reader:
        partitions = await reader.partitions((*LOGS, *CHANGELOGS))
        committed = await reader.committed(GROUPS)
        snapshots = await read_changelogs(reader, partitions)
        queries = await send_queries(reader, cluster, options, snapshots, report.notes)
        ranges = await reader.offset_ranges({topic: partitions[topic] for topic in LOGS})
        copies = [*snapshots.values()]
        if stores is not None:
            copies += read_local_stores(stores, await cluster_id(cluster), report.notes)
        replays = replays_of(ranges, partitions)
        for copy in copies:
            if copy.source in replays:
                replays[copy.source].compare(copy)
        outputs, replies = OutputCheck(ranges, committed, snapshots), QueryCheck(queries)
        async for tp, records in reader.read(ranges):
            count += len(records)
            take = replays[tp].take if tp in replays else ReplayedRecord
            for replayed in map(take, records):
                outputs.take(replayed)
                replies.take(replayed)
        for replay in replays.values():
            report.differences += replay.differences()
        report.differences += replies.wrong()
        report.differences += await unanswered(reader, options, queries, report.notes)
    _check_tables(snapshots, replays, outputs, report)
    report.notes += [
        f"{topic}-{number} has lost its first {held.begin} records: no replay of it"
        for (topic, number), held in ranges.items()
        if held.begin
    ]
    report.totals = {
        "rows": sum(len(copy.rows) for copy in copies),
        "records": count,
        "questions": len(queries),
        "unpriced": sum(query.is_unpriced for query in queries),
        "seconds": round(time.monotonic() - began, 2),
        "offsets": {
            topic.name: [ranges[topic.name, n].end for n in range(partitions[topic])]
            for topic in GROUPS
        },
    }
    return report


def _check_tables(
    snapshots: Snapshots,
    replays: dict[TopicPartition, PartitionReplay],
    outputs: OutputCheck,
    report: Report,
) -> None:
    """Check the invariants of all tables; of cut logs, the tables are the snapshots."""
    tables: dict[Topic, dict[str, Any]] = {changelog: {} for changelog in SOURCES}
    uncounted: set[int] = set()
    for snapshot in snapshots.values():
        if snapshot.source:
            replay = replays.get(snapshot.source)
            rows = replay.rows if replay else snapshot.values()
            tables[snapshot.changelog] |= rows
            if replay is None and snapshot.changelog is STOCK_CHANGELOG:
                uncounted |= {int(key.partition("/")[0]) for key in rows}
    carts, orders, stock = tables.values()
    counted = [replay.turnover for replay in replays.values()]
    report.balances = balances(stock, counted)
    report.violations += [
        *outputs.missing.values(),
        *violations(report.balances, uncounted),
    ]
    if uncounted:
        report.notes.append(
            f"what was received and sold of {len(uncounted)} skus is unknown: their logs"
            " have lost the first records"
        )
    if outputs.in_flight:
        report.notes.append(
            f"{len(outputs.in_flight)} messages of uncommitted records are in flight: their"
            " orders and users are not checked"
        )
    if outputs.is_conclusive():
        now, in_flight = datetime.now(UTC), outputs.in_flight.values()
        report.violations += inconsistencies(carts, orders, stock, now, in_flight)
    else:
        report.notes.append(
            "orders are not compared with stock: logs have lost their first records, and"
            " records are uncommitted"
        )


@click.command(help=cli.paragraphs(__doc__), context_settings=cli.HELP)
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
    type=cli.parsed(lambda text: RecordLocation.parse(text.replace("=", "@")), _OFFSET),
    multiple=True,
    metavar=_OFFSET,
)
@click.option("--key", help="of a row that --at prints", multiple=True)
# Standard output is for people, except for its last line.
@cli.on_cluster("audit", out=sys.stdout, failed=cli.MISUSED)
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
        cli.read(target, partial(_print_states, at, key))
        return cli.OK
    limit = 0 if queries["no_questions"] else queries["questions"]
    timeout = timedelta(seconds=queries["patience"])
    options = QueryOptions(limit, queries["seed"], timeout)
    report = cli.answer(target, partial(audit_shop, options, stores))
    click.echo("\n".join(report.lines(quiet=quiet)))
    return cli.FAILED if report.differences or report.violations else cli.OK


async def _print_states(
    locations: list[RecordLocation], keys: list[str], reader: TopicReader
) -> None:
    for location in locations:
        replay = await replay_to(location, reader)
        click.echo(f"{location}: {len(replay.rows)} rows")
        for key in keys:
            row = f"{key}: {replay.json(key)}"
            if key in replay.rows:
                row += f", last changed at {replay.changed_at[key]}"
            click.echo(row)
        if not keys and (found := balances(replay.rows, [replay.turnover])):
            click.echo("\n".join((*table(found), *violations(found))))


def main() -> None:
    """Run the audit of the command line."""
    raise_file_limit()
    audit.main(prog_name="python -m agents.ops.audit")


if __name__ == "__main__":
    main()
