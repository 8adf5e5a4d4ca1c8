"""What is wrong with all that was folded, beside rows that differ."""

from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition

from agents.ops.audit.copies import Snapshots
from agents.ops.audit.folding import LogReplay
from agents.ops.audit.invariants import violations
from agents.ops.audit.report import Report
from agents.ops.audit.snapshots import decoded
from agents.ops.audit.verdict import InFlight, Tables, conservation, inconsistencies
from topics.catalog import CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS
from topics.topic import Topic
from topics.topology import AGGREGATES


class Judgement:
    """Judges the tables together, and what was said.

    Args:
        folding: the logs, folded to their ends.
        copies: of the tables; they stand in for logs that have lost their beginning.
        report: is told.
    """

    def __init__(self, folding: LogReplay, copies: Snapshots, report: Report) -> None:
        self._folding = folding
        self._copies = copies
        self._report = report
        self._tables = Tables(
            *map(self._rows, (CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS))
        )

    def all(self) -> None:
        """Judge everything."""
        self._books()
        self._report.violations += map(str, self._folding.promises.missing())
        under_way = self._folding.promises.under_way
        if under_way:
            self._report.notes.append(
                f"{len(under_way)} messages are under way, of records that are not"
                " committed yet; whom they concern is not judged"
            )
        if self._folding.is_whole or self._folding.is_quiet:
            involved = InFlight(list(under_way.values()))
            self._report.violations += inconsistencies(self._tables, involved)
        else:
            self._report.notes.append(
                "orders were not held against stock: logs have lost their beginning, and"
                " records are under way"
            )

    def _books(self) -> None:
        for lines in conservation(self._tables, self._folding.received):
            self._report.balances |= lines
            self._report.violations += violations(lines)

    def _rows(self, topic: Topic) -> list[Mapping[str, Any]]:
        aggregate = AGGREGATES[topic]
        changelog, replays = aggregate.changelog, self._folding.replays
        rows: list[Mapping[str, Any]] = []
        for number in range(self._folding.partitions[topic]):
            replay = replays.get(TopicPartition(topic.name, number))
            copy = self._copies[changelog, number]
            rows.append(replay.rows if replay else dict(decoded(aggregate, copy)))
        return rows
