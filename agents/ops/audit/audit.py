"""Audits a shop, also while it runs.

The order of reads makes that possible: committed offsets, changelogs, queries, then the
ends of the logs. All outputs of a committed record lie below those ends, no changelog
includes a record beyond them, and the queries are among the replayed records.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from aiokafka import TopicPartition

from agents.ops.audit.comparison import Comparison
from agents.ops.audit.invariants import (
    InFlight,
    Rows,
    StockLocation,
    Tables,
    balances,
    inconsistencies,
    received_by,
    violations,
)
from agents.ops.audit.outputs import OutputCheck
from agents.ops.audit.queries import LiveQueries, QueryCheck, QueryOptions
from agents.ops.audit.replay import (
    AGGREGATES,
    SOURCES,
    LogReplay,
    PartitionReplay,
    ReplayedRecord,
    adapter_of,
)
from agents.ops.audit.report import Report, table
from agents.ops.audit.snapshots import (
    Snapshots,
    decoded,
    read_changelogs,
    read_local_stores,
)
from topics.admin import cluster_id
from topics.catalog import CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS
from topics.kafka.location import RecordLocation
from topics.kafka.reader import OffsetRange, OffsetRanges, ReadError, TopicReader
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic
from topics.topology import CHANGELOGS, GROUPS, LOGS

Check = Callable[[ReplayedRecord], None]
Received = Mapping[int, Mapping[StockLocation, int]]
"""Received units, by partition of stock."""


async def audit(
    reader: TopicReader, cluster: KafkaSettings, options: QueryOptions, stores: Path | None
) -> Report:
    """Audit a shop.

    Args:
        reader: of the shop's topics.
        cluster: how to reach the brokers.
        options: of the queries to the running shop.
        stores: a directory of the workers' state directories, if they are on this machine.

    Raises:
        ReadError: topics are missing.
        TopicsError, KafkaAuthenticationError, KafkaError, TimeoutError, OSError: Kafka is
            not reachable.
    """
    began, report = time.monotonic(), Report()
    partitions = await reader.partitions((*LOGS, *CHANGELOGS))
    committed = await reader.committed(GROUPS)
    snapshots = await read_changelogs(reader, partitions)
    queries = LiveQueries(reader, options, report)
    if options.limit:
        await queries.send(cluster, snapshots, await reader.offset_ranges(partitions))
    log = LogReplay(await _log_ranges(reader, partitions, report), partitions)
    comparison = Comparison(log)
    _compare_changelogs(comparison, snapshots, report)
    if stores is not None:
        _compare_stores(comparison, stores, await cluster_id(cluster), report)
    outputs = OutputCheck(committed, _whole_topics(log.ranges), snapshots)
    replies = QueryCheck(queries.answered)
    received = await _replay(reader, log, (outputs.take, replies.take), report)
    report.differences += comparison.differences()
    report.violations += map(str, outputs.missing())
    await queries.check(replies)
    _check_tables(log, snapshots, received, outputs, report)
    report.seconds = time.monotonic() - began
    return report


async def _log_ranges(
    reader: TopicReader, partitions: Mapping[Topic, int], report: Report
) -> OffsetRanges:
    counts = {topic: partitions[topic] for topic in LOGS}
    ranges = await reader.offset_ranges(counts)
    for topic in GROUPS:
        numbers = range(counts[topic])
        report.offsets[topic.name] = [ranges[topic.name, n].end for n in numbers]
    report.notes += [
        f"{tp.topic}-{tp.partition} has lost its first {lost.begin} records:"
        " no replay of it"
        for tp, lost in ranges.items()
        if lost.begin
    ]
    return ranges


def _whole_topics(ranges: OffsetRanges) -> frozenset[str]:
    """Return the topics of which no partition has lost records."""
    cut = {tp.topic for tp, part in ranges.items() if part.begin}
    return frozenset(tp.topic for tp in ranges) - cut


def _compare_changelogs(
    comparison: Comparison, snapshots: Snapshots, report: Report
) -> None:
    for (topic, _), snapshot in snapshots.items():
        if topic in SOURCES:
            comparison.add(SOURCES[topic], snapshot)
    report.counts["rows"] = sum(len(each.rows) for each in snapshots.values())


def _compare_stores(
    comparison: Comparison, directory: Path, cluster: str, report: Report
) -> None:
    for aggregate, snapshot in read_local_stores(directory, cluster, report.notes):
        comparison.add(aggregate, snapshot)
        report.counts["rows"] += len(snapshot.rows)


async def _replay(
    reader: TopicReader, log: LogReplay, checks: Iterable[Check], report: Report
) -> Received:
    """Replay all logs, with checks of each record; return the received units."""
    received: defaultdict[int, Counter[StockLocation]] = defaultdict(Counter)
    report.counts["records"] = 0
    async for tp, records in reader.read(log.ranges):
        for replayed in log.take(tp, records):
            for check in checks:
                check(replayed)
            if units := received_by(replayed):
                received[tp.partition].update(units)
        report.counts["records"] += len(records)
    log.finish()
    return received


def _check_tables(
    log: LogReplay,
    snapshots: Snapshots,
    received: Received,
    outputs: OutputCheck,
    report: Report,
) -> None:
    """Check the invariants of all tables together."""
    tables = tables_of(log, snapshots)
    for number, rows in enumerate(tables.stock):
        found = balances(rows, received.get(number))
        report.balances |= found
        report.violations += violations(found)
    if in_flight := outputs.in_flight:
        report.notes.append(
            f"{len(in_flight)} messages of uncommitted records are in flight: their orders"
            " and users are not checked"
        )
    if log.is_whole or is_quiet(log.ranges, outputs.committed):
        report.violations += inconsistencies(tables, InFlight(in_flight.values()))
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


def tables_of(log: LogReplay, snapshots: Snapshots) -> Tables:
    """Return all tables; snapshots replace those whose logs have lost records."""

    def rows(topic: Topic, number: int) -> Rows:
        replay = log.replays.get(TopicPartition(topic.name, number))
        if replay is not None:
            return replay.rows
        aggregate = AGGREGATES[topic]
        return decoded(aggregate, snapshots[aggregate.changelog, number])

    topics = (CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS)
    return Tables(*([rows(t, n) for n in range(log.partitions[t])] for t in topics))


async def state_at(
    reader: TopicReader, location: RecordLocation, keys: Sequence[str]
) -> list[str]:
    """Replay a partition up to an offset; return rows, or all balances of stock, as text.

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
    replay = PartitionReplay(topic, tp.partition, partitions[topic], AGGREGATES[topic])
    received: Counter[StockLocation] = Counter()
    async for _, records in reader.read({tp: OffsetRange(0, location.offset)}):
        for replayed in map(replay.take, records):
            received.update(received_by(replayed))
    header = f"{location}: {len(replay.rows)} rows"
    if keys:
        return [header, *(_row(replay, key) for key in keys)]
    found = balances(replay.rows, received)
    return [header, *(table(found) if found else ()), *violations(found)]


def _row(replay: PartitionReplay, key: str) -> str:
    row = replay.rows.get(key)
    if row is None or replay.aggregate is None:
        return f"{key}: no row"
    value = adapter_of(replay.aggregate, key).dump_json(row).decode()
    return f"{key}: {value}, last changed at {replay.changed_at[key]}"
