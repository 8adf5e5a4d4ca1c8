"""The course of an audit: what is read in which order, so that it holds on a running shop.

Committed offsets first, then the changelogs, then questions, then the ends of the logs: all
that a committed record caused lies below those ends, no changelog knows a record beyond
them, and the questions are among what is folded.
"""

import time
from collections.abc import Iterator

from agents.ops.audit.copies import Snapshots, read_changelogs
from agents.ops.audit.folding import LogReplay
from agents.ops.audit.judgement import Judgement
from agents.ops.audit.live_queries import LiveQueries
from agents.ops.audit.options import Options
from agents.ops.audit.outputs import OutputCheck
from agents.ops.audit.queries import QueryCheck
from agents.ops.audit.replay import AnyAggregate
from agents.ops.audit.report import Report
from agents.ops.audit.snapshots import TableSnapshot
from agents.ops.audit.stores import read_local_stores
from topics.admin import cluster_id
from topics.kafka.reader import OffsetRanges, TopicReader
from topics.kafka.settings import KafkaSettings
from topics.topology import CHANGELOGS, GROUPS, LOGS, SOURCES


class Audit:
    """One audit.

    Args:
        logs: the shop's topics.
        cluster: how to reach the brokers.
        options: how it is to be done.
    """

    def __init__(self, logs: TopicReader, cluster: KafkaSettings, options: Options) -> None:
        self._logs = logs
        self._cluster = cluster
        self._options = options
        self._report = Report()

    async def run(self) -> Report:
        """Do it.

        Raises:
            CannotAuditError: topics are missing.
            TopicsError, NotLetInError, KafkaError, TimeoutError, OSError: Kafka does not
                answer.
        """
        began = time.monotonic()
        self._cluster_id = await cluster_id(self._cluster)
        self._partitions = await self._logs.partitions((*LOGS, *CHANGELOGS))
        committed = await self._logs.committed(GROUPS)
        copies = await read_changelogs(self._logs, self._partitions)
        interview = await self._interview(copies)
        spans = await self._spans()
        promises = OutputCheck(committed, _whole(spans))
        answers = QueryCheck(interview.answered)
        folding = LogReplay(spans, self._partitions, promises, answers, self._report)
        self._expect(folding, copies)
        await self._fold(folding, spans)
        await interview.judge(answers)
        Judgement(folding, copies, self._report).all()
        self._report.seconds = time.monotonic() - began
        return self._report

    async def _interview(self, copies: Snapshots) -> LiveQueries:
        interview = LiveQueries(self._logs, self._cluster, self._options, self._report)
        if self._options.questions:
            begins = await self._logs.offset_ranges(self._partitions)
            await interview.hold(copies, begins)
        return interview

    async def _spans(self) -> OffsetRanges:
        there = {topic: self._partitions[topic] for topic in LOGS}
        spans = await self._logs.offset_ranges(there)
        for topic in GROUPS:
            ends = [
                spans[topic.name, number].end for number in range(self._partitions[topic])
            ]
            self._report.offsets[topic.name] = ends
        self._report.notes += [
            f"{tp.topic}-{tp.partition} has lost its first {span.begin} records:"
            " it can't be folded"
            for tp, span in spans.items()
            if span.begin
        ]
        return spans

    def _expect(self, folding: LogReplay, copies: Snapshots) -> None:
        rows = sum(len(copy.rows) for copy in copies.values())
        for topic, number in copies:
            if topic in SOURCES:
                folding.expect(SOURCES[topic], copies[topic, number])
        folding.expect_notices(copies)
        for aggregate, copy in self._stores():
            folding.expect(aggregate, copy)
            rows += len(copy.rows)
        self._report.counts["rows"] = rows

    def _stores(self) -> Iterator[tuple[AnyAggregate, TableSnapshot]]:
        directory = self._options.stores
        if directory is None:
            return iter(())
        return read_local_stores(directory, self._cluster_id, self._report.notes)

    async def _fold(self, folding: LogReplay, spans: OffsetRanges) -> None:
        read = 0
        async for tp, records in self._logs.read(spans):
            folding.take(tp, records)
            read += len(records)
        folding.finish()
        self._report.counts["records"] = read


def _whole(spans: OffsetRanges) -> frozenset[str]:
    """Name the topics of which nothing is lost."""
    cut = {tp.topic for tp, span in spans.items() if span.begin}
    return frozenset(tp.topic for tp in spans if tp.topic not in cut)
