"""Audit a shop: `python -m agents.ops.audit`, the shop of this directory, or of `KAFKA`.

Replays the request topics through the pure rules. Compares the result with the changelogs,
with the replies of the running shop, and with the workers' local stores. Apart from its
queries, the audit writes nothing.

`--checkpoint DIR` keeps the audited tables as files, and `--from DIR` begins there: the
logs are read from its offsets on only. `--forget-before DIR` lets Kafka delete the requests
below these offsets.

Exit codes: 0 the shop matches its logs; 1 differences or violations; 2 no audit possible.
"""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import filterfalse
from pathlib import Path
from typing import Any

import click
from aiokafka import TopicPartition

from agents.ops.audit.checkpoint import Checkpoint, capture
from agents.ops.audit.checkpoint_files import load, newest, save
from agents.ops.audit.deletion import delete_before
from agents.ops.audit.invariants import balances, inconsistencies, violations
from agents.ops.audit.outputs import OutputCheck
from agents.ops.audit.queries import QueryCheck, QueryOptions, send_queries, unanswered
from agents.ops.audit.replay import PartitionReplay, ReplayedRecord, replays_of
from agents.ops.audit.report import Report
from agents.ops.audit.snapshots import (
    SOURCES,
    Snapshots,
    TableSnapshot,
    read_changelogs,
    read_local_stores,
)
from agents.ops.audit.states import print_states
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


@dataclass(frozen=True)
class Options:
    """What is audited, and from where.

    Attributes:
        stores: the directory of the workers' state directories; None: none are compared.
        start: the checkpoint to begin at.
        captures: whether the report has the next checkpoint.
    """

    queries: QueryOptions
    stores: Path | None = None
    start: Checkpoint = field(default_factory=Checkpoint)
    captures: bool = False


async def audit_shop(options: Options, cluster: KafkaSettings) -> Report:
    """Audit a shop, also while it runs.

    The order of reads makes that possible: committed offsets, changelogs, queries, then
    the ends of the logs. All outputs of a committed record lie below those ends, no
    changelog includes a record beyond them, and the queries are among the replayed records.
    """
    began, count, report, start = time.monotonic(), 0, Report(), options.start
    async with TopicReader(cluster) as reader:
        layout = await layout_of(reader)
        if layout.plan is not None:
            raise ReadError(UNFINISHED)
        partitions = await reader.partitions((*LOGS, *CHANGELOGS))
        logs = {topic: partitions[topic] for topic in LOGS}
        name, first = await cluster_id(cluster), await reader.offset_ranges(logs)
        start.require(name, layout.generation, first)
        committed = await reader.committed(GROUPS)
        cuts = start.next_offsets(first, committed) if options.captures else {}
        snapshots = await read_changelogs(reader, partitions, layout.generation)
        covered = start.covered(first)
        whole = {
            tp: snapshot
            for tp, snapshot in snapshots.items()
            if snapshot.source and not covered[snapshot.source].begin
        }
        queries = await send_queries(reader, cluster, options.queries, whole, report.notes)
        held = await reader.offset_ranges(logs)
        start.require(name, layout.generation, held)
        ranges = start.covered(held)
        replays = replays_of(ranges, partitions, layout.generation)
        start.resume(replays)
        for tp in cuts.keys() & replays.keys():
            replays[tp].capture_at(cuts[tp])
        copies = [*snapshots.values()]
        if options.stores is not None:
            here = options.stores, name, report.notes, layout.generation
            copies += read_local_stores(*here)
        report.notes += _compare(copies, replays)
        outputs = OutputCheck(ranges, committed, snapshots, sent=start.sent)
        replies = QueryCheck(queries)
        async for tp, records in reader.read(start.unread(held)):
            count += len(records)
            take = replays[tp].take if tp in replays else ReplayedRecord
            for replayed in map(take, filterfalse(layout.ignores, records)):
                outputs.take(replayed)
                replies.take(replayed)
        for replay in replays.values():
            report.differences += replay.differences()
        report.differences += replies.wrong()
        missing = await unanswered(reader, options.queries, queries, report.notes)
        report.differences += missing
    _check_tables(snapshots, replays, outputs, report)
    report.notes += [
        f"{topic}-{number} has lost its first {begin} records: no replay of it without a"
        " checkpoint (--from)"
        for (topic, number), (begin, _) in ranges.items()
        if begin
    ]
    if options.captures:
        place = name, layout.generation, cuts
        report.checkpoint = capture(*place, replays, outputs.sent_early())
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


def _compare(
    copies: Iterable[TableSnapshot], replays: Mapping[TopicPartition, PartitionReplay]
) -> Iterator[str]:
    """Have copies compared with the replays; yield a note for each that can't be."""
    for copy in copies:
        if copy.source in replays and not replays[copy.source].compare(copy):
            yield (
                f"{copy.store}, partition {copy.partition}, is older than the checkpoint:"
                " not compared"
            )


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


_directory = partial(click.option, type=click.Path(path_type=Path), metavar="DIR")


@click.command(help=cli.paragraphs(__doc__), context_settings=cli.HELP)
@click.option("--questions", help="queries to each service", default=200, metavar="N")
@click.option("--no-questions", help="send no query to the running shop", is_flag=True)
@click.option("--seed", help="chooses the rows that are queried", default=0)
@click.option("--patience", help="timeout of a reply", default=20.0, metavar="SECONDS")
@_directory("--stores", help="has the workers' state directories")
@_directory("--checkpoint", help="keep what was audited, if all matches, for --from")
@_directory("--from", "start", help="begin at a checkpoint, or the newest one in DIR")
@_directory(
    "--forget-before", "forget", help="audit --from DIR, then delete older requests"
)
@click.option("--yes", help="delete without a confirmation", is_flag=True)
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
    quiet: bool,
    **given: Any,  # noqa: ANN401 -- click's
) -> int:
    """Print the report, or rows at an offset; return the exit code."""
    directory, forget = given["checkpoint"], given["forget"]
    if forget and (directory or given["start"] or at):
        raise click.UsageError("--forget-before goes without --checkpoint, --from and --at")
    if forget and not given["yes"]:
        cli.require_terminal()
    source = given["start"] or forget
    start = load(newest(source)) if source else Checkpoint()
    if at:
        cli.read(target, partial(print_states, at, key, start.tables))
        return cli.OK
    if directory:
        directory.mkdir(parents=True, exist_ok=True)
    limit = 0 if given["no_questions"] else given["questions"]
    queries = QueryOptions(limit, given["seed"], timedelta(seconds=given["patience"]))
    options = Options(queries, given["stores"], start, captures=bool(directory))
    report = cli.answer(target, partial(audit_shop, options))
    if report.is_clean and report.checkpoint:
        cli.echo(f"checkpoint: {save(directory, report.checkpoint, datetime.now(UTC))}")
    if report.is_clean and forget:
        cli.echo(*delete_before(target, start, yes=given["yes"]))
    click.echo("\n".join(report.lines(quiet=quiet)))
    return cli.OK if report.is_clean else cli.FAILED


def main() -> None:
    """Run the audit of the command line."""
    raise_file_limit()
    audit.main(prog_name="python -m agents.ops.audit")


if __name__ == "__main__":
    main()
