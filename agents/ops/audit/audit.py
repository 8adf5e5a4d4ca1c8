"""One audit: reads, replays and compares all that a shop has in Kafka."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import filterfalse
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition

from agents.ops.audit.checkpoint import Checkpoint, capture
from agents.ops.audit.invariants import balances, inconsistencies, violations
from agents.ops.audit.outputs import OutputCheck
from agents.ops.audit.queries import QueryCheck, QueryOptions, send_queries, unanswered
from agents.ops.audit.replay import PartitionReplay, ReplayedRecord
from agents.ops.audit.report import Report
from agents.ops.audit.snapshots import (
    SOURCES,
    Snapshots,
    TableSnapshot,
    read_changelogs,
    read_local_stores,
)
from topics.admin import cluster_id
from topics.catalog import STOCK_CHANGELOG
from topics.kafka.reader import OffsetRanges, ReadError, TopicReader
from topics.kafka.settings import KafkaSettings
from topics.layout import UNFINISHED, layout_of
from topics.topic import Topic
from topics.topology import CHANGELOGS, GROUPS, LOGS


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
        stored = {s.source: s.stored_keys() for s in snapshots.values() if s.source in cuts}
        for tp in cuts.keys() & replays.keys():
            replays[tp].capture_at(cuts[tp], stored.get(tp, ()))
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


def replays_of(
    ranges: OffsetRanges, partitions: Mapping[Topic, int], generation: int = 0
) -> dict[TopicPartition, PartitionReplay]:
    """Return the replays of all partitions that still have their first records."""
    return {
        tp: PartitionReplay(topic, number, partitions[topic], generation)
        for topic in GROUPS
        for number in range(partitions[topic])
        if ranges[tp := TopicPartition(topic.name, number)].begin == 0
    }


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
