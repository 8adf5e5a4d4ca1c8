"""Audit a shop: `python -m agents.ops.audit`, the shop of this directory, or of `KAFKA`.

Replays the request topics through the pure rules. Compares the result with the changelogs,
with the replies of the running shop, and with the workers' local stores. Apart from its
queries, the audit writes nothing.

Exit codes: 0 the shop matches its logs; 1 differences or violations; 2 no audit possible.
"""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import filterfalse
from pathlib import Path
from typing import Any

import click
from aiokafka import TopicPartition

from agents.ops.audit.invariants import (
    ACCOUNTS,
    MAX_LINES,
    Balances,
    balances,
    inconsistencies,
    table,
    total,
    violations,
)
from agents.ops.audit.outputs import OutputCheck
from agents.ops.audit.queries import QueryCheck, QueryOptions, send_queries, unanswered
from agents.ops.audit.replay import (
    PartitionReplay,
    ReplayedRecord,
    replay_to,
    replays_of,
)
from agents.ops.audit.snapshots import (
    SOURCES,
    Snapshots,
    read_changelogs,
    read_local_stores,
)
from topics import cli
from topics.admin import cluster_id
from topics.cli import raise_file_limit
from topics.kafka.location import RecordLocation
from topics.kafka.reader import ReadError, TopicReader
from topics.kafka.settings import KafkaSettings
from topics.layout import UNFINISHED, layout_of
from topics.target import Target
from topics.topic import Topic
from topics.topology import CHANGELOGS, GROUPS, LOGS

_OFFSET = "TOPIC-PARTITION=OFFSET"


@dataclass
class Report:
    """The result of an audit.

    Attributes:
        differences: rows and replies that differ from the replay of their log.
        notes: parts that were not audited, with the reason.
        totals: for programs, in addition to those of the other attributes.
    """

    differences: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    balances: Balances = field(default_factory=dict)
    totals: dict[str, Any] = field(default_factory=dict)

    def lines(self, *, quiet: bool) -> Iterator[str]:
        """Yield the report: lines for operators, then one of JSON for programs.

        A quiet report has only the totals of the table.
        """
        yield from table(self.balances, limit=0 if quiet else MAX_LINES)
        yield from (f"note: {note}" for note in self.notes)
        for name, found in ("difference", self.differences), ("violation", self.violations):
            yield from (f"{name}: {each}" for each in found[:MAX_LINES])
            if len(found) > MAX_LINES:
                yield f"… and {len(found) - MAX_LINES} {name}s more"
        if not (self.differences or self.violations):
            yield "The shop matches its logs: no difference, no violation."
        sums = total(self.balances)
        totals = {
            "skus": len({sku for sku, _ in self.balances}),
            "differences": len(self.differences),
            "violations": len(self.violations),
        }
        yield json.dumps(self.totals | totals | {name: sums[name] for name in ACCOUNTS})


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
        layout = await layout_of(reader)
        if layout.plan is not None:
            raise ReadError(UNFINISHED)
        partitions = await reader.partitions((*LOGS, *CHANGELOGS))
        committed = await reader.committed(GROUPS)
        snapshots = await read_changelogs(reader, partitions, layout.generation)
        queries = await send_queries(reader, cluster, options, snapshots, report.notes)
        ranges = await reader.offset_ranges({topic: partitions[topic] for topic in LOGS})
        copies = [*snapshots.values()]
        if stores is not None:
            here = stores, await cluster_id(cluster), report.notes, layout.generation
            copies += read_local_stores(*here)
        replays = replays_of(ranges, partitions, layout.generation)
        for copy in copies:
            if copy.source in replays:
                replays[copy.source].compare(copy)
        outputs, replies = OutputCheck(ranges, committed, snapshots), QueryCheck(queries)
        async for tp, records in reader.read(ranges):
            count += len(records)
            take = replays[tp].take if tp in replays else ReplayedRecord
            for replayed in map(take, filterfalse(layout.ignores, records)):
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
    for snapshot in snapshots.values():
        if snapshot.source:
            replay = replays.get(snapshot.source)
            tables[snapshot.changelog] |= replay.rows if replay else snapshot.values()
    carts, orders, stock = tables.values()
    report.balances = balances(stock)
    report.violations += [*outputs.missing.values(), *violations(report.balances)]
    if outputs.in_flight:
        report.notes.append(
            f"{len(outputs.in_flight)} messages of uncommitted records are in flight: their"
            " orders and users are not checked"
        )
    if outputs.is_conclusive():
        in_flight = outputs.in_flight.values()
        report.violations += inconsistencies(carts, orders, stock, in_flight)
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
        if not keys and (found := balances(replay.rows)):
            click.echo("\n".join((*table(found), *violations(found))))


def main() -> None:
    """Run the audit of the command line."""
    raise_file_limit()
    audit.main(prog_name="python -m agents.ops.audit")


if __name__ == "__main__":
    main()
