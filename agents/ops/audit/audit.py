"""Audits a shop, also while it runs.

The order of reads makes that possible: committed offsets, changelogs, queries, then the
ends of the logs. All outputs of a committed record lie below those ends, no changelog
includes a record beyond them, and the queries are among the replayed records.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition

from agents.ops.audit.invariants import (
    ACCOUNTS,
    MAX_LINES,
    Balances,
    Rows,
    Tables,
    balances,
    inconsistencies,
    table,
    total,
    violations,
)
from agents.ops.audit.outputs import OutputCheck
from agents.ops.audit.queries import (
    QueryCheck,
    QueryOptions,
    send_queries,
    unanswered,
)
from agents.ops.audit.replay import LogReplay
from agents.ops.audit.snapshots import (
    AGGREGATES,
    SOURCES,
    Snapshots,
    read_changelogs,
    read_local_stores,
)
from topics.admin import cluster_id
from topics.catalog import STOCK_CHANGELOG
from topics.kafka.reader import OffsetRanges, TopicReader
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic
from topics.topology import CHANGELOGS, GROUPS, LOGS


@dataclass
class Report:
    """The result of an audit.

    Attributes:
        differences: rows and replies that differ from the replay of their log.
        notes: parts that were not audited, with the reason.
        counts: of rows, records, queries, and carts that had no prices.
        offsets: the ends of the replayed logs, by topic and partition.
    """

    differences: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    offsets: dict[str, list[int]] = field(default_factory=dict)
    balances: Balances = field(default_factory=dict)
    seconds: float = 0.0

    def lines(self, *, quiet: bool) -> Iterator[str]:
        """Yield the report for operators; a quiet one has only the totals of the table."""
        yield from table(self.balances, limit=0 if quiet else MAX_LINES)
        yield from (f"note: {note}" for note in self.notes)
        for name, found in ("difference", self.differences), ("violation", self.violations):
            yield from (f"{name}: {each}" for each in found[:MAX_LINES])
            if len(found) > MAX_LINES:
                yield f"… and {len(found) - MAX_LINES} {name}s more"
        if not (self.differences or self.violations):
            yield "The shop matches its logs: no difference, no violation."

    def json(self) -> str:
        """Return the report for programs, in one line."""
        sums = total(self.balances)
        found: dict[str, Any] = {
            **self.counts,
            "skus": len({sku for sku, _ in self.balances}),
            **{account: sums[account] for account in ACCOUNTS},
            "differences": len(self.differences),
            "violations": len(self.violations),
            "seconds": round(self.seconds, 2),
            "offsets": self.offsets,
        }
        return json.dumps(found)


async def audit(
    options: QueryOptions, stores: Path | None, cluster: KafkaSettings
) -> Report:
    """Audit a shop.

    Args:
        options: of the queries to the running shop.
        stores: has the workers' state directories; None: they are on other machines.
        cluster: of the shop.

    Raises:
        ReadError: topics are missing.
        TopicsError, KafkaAuthenticationError, KafkaError, TimeoutError, OSError: Kafka is
            not reachable.
    """
    began, report = time.monotonic(), Report()
    async with TopicReader(cluster) as reader:
        partitions = await reader.partitions((*LOGS, *CHANGELOGS))
        committed = await reader.committed(GROUPS)
        snapshots = await read_changelogs(reader, partitions)
        queries = await send_queries(reader, cluster, options, snapshots, report.notes)
        counts = {topic: partitions[topic] for topic in LOGS}
        log = LogReplay(await reader.offset_ranges(counts), counts)
        _report_logs(log, report)
        copies = [*snapshots.values()]
        if stores is not None:
            copies += read_local_stores(stores, await cluster_id(cluster), report.notes)
        log.compare(copies)
        outputs = OutputCheck(committed, log.whole_topics, snapshots)
        replies = QueryCheck(queries)
        report.counts = {"rows": sum(len(copy.rows) for copy in copies), "records": 0}
        async for tp, records in reader.read(log.ranges):
            report.counts["records"] += len(records)
            for replayed in log.take(tp, records):
                outputs.take(replayed)
                replies.take(replayed)
        report.differences = [*log.differences(), *replies.wrong()]
        report.differences += await unanswered(reader, options, queries, report.notes)
    report.counts |= {"questions": len(queries), "unpriced": replies.unpriced}
    report.violations = outputs.missing()
    _check_tables(log, snapshots, outputs, report)
    report.seconds = time.monotonic() - began
    return report


def _report_logs(log: LogReplay, report: Report) -> None:
    replayed = {topic.name for topic in GROUPS}
    for (topic, number), held in log.ranges.items():
        if topic in replayed:
            report.offsets.setdefault(topic, []).append(held.end)
        if held.begin:
            report.notes.append(
                f"{topic}-{number} has lost its first {held.begin} records: no replay of it"
            )


def _check_tables(
    log: LogReplay, snapshots: Snapshots, outputs: OutputCheck, report: Report
) -> None:
    """Check the invariants of all tables; of cut logs, the tables are the snapshots."""
    tables: dict[Topic, list[Rows]] = {changelog: [] for changelog in SOURCES}
    for (changelog, number), snapshot in snapshots.items():
        if source := SOURCES.get(changelog):
            replay = log.replays.get(TopicPartition(source.requests.name, number))
            rows = replay.rows if replay else snapshot.values()
            tables[changelog].append(rows)
            if changelog is STOCK_CHANGELOG:
                found = balances(rows, replay.received if replay else None)
                report.balances |= found
                report.violations += violations(found)
    if outputs.in_flight:
        report.notes.append(
            f"{len(outputs.in_flight)} messages of uncommitted records are in flight: their"
            " orders and users are not checked"
        )
    is_whole = log.whole_topics >= {topic.name for topic in AGGREGATES}
    if is_whole or is_quiet(log.ranges, outputs.committed):
        of_all = Tables(*tables.values())
        report.violations += inconsistencies(of_all, outputs.in_flight.values())
    else:
        report.notes.append(
            "orders are not compared with stock: logs have lost their first records, and"
            " records are uncommitted"
        )


def is_quiet(ranges: OffsetRanges, committed: Mapping[TopicPartition, int]) -> bool:
    """Return whether all records of the aggregates were committed before the audit."""
    names = {topic.name for topic in AGGREGATES}
    return all(
        committed.get(tp, 0) >= part.end for tp, part in ranges.items() if tp.topic in names
    )
