"""All logs side by side: what a copy claims beyond its log, and facts without a notice."""

from datetime import UTC, datetime

import pytest
from aiokafka import TopicPartition

from agents.ops.audit.folding import LogReplay
from agents.ops.audit.outputs import OutputCheck
from agents.ops.audit.queries import QueryCheck
from agents.ops.audit.report import Report
from agents.ops.audit.snapshots import SnapshotRow, TableSnapshot
from agents.runtime.state_store import Row
from schemas.contract import Item
from schemas.order import OrderStatusChanged, Status
from schemas.stock import ReceiveStock
from tests.component.bench import record
from topics.catalog import ORDER_EVENTS, SENT_CHANGELOG, STOCK_CHANGELOG, STOCK_REQUESTS
from topics.kafka.reader import OffsetRange
from topics.topology import AGGREGATES, GROUPS

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
FACT = OrderStatusChanged(
    order_id=1, user=7, status=Status.NEW, items=(Item(sku=1, count=2),), at=NOON
)
PUT_IN = ReceiveStock(sku=1, warehouse_id=1, count=5)
FACTS, GOODS = (TopicPartition(t.name, 0) for t in (ORDER_EVENTS, STOCK_REQUESTS))


def folding(ends, committed, begins=()):
    """Return a fold of logs, most of them empty, of one partition each; and its report."""
    there = [TopicPartition(topic.name, 0) for topic in GROUPS]
    spans = {tp: OffsetRange(dict(begins).get(tp, 0), ends.get(tp, 0)) for tp in there}
    promises = OutputCheck(committed, frozenset())
    report = Report()
    return LogReplay(
        spans, dict.fromkeys(GROUPS, 1), promises, QueryCheck([]), report
    ), report


def notices(*event_ids):
    """Return what says that these were told."""
    rows = {
        name.encode(): SnapshotRow(Row(name.encode(), b"{}", 1), "") for name in event_ids
    }
    return {(SENT_CHANGELOG, 0): TableSnapshot(SENT_CHANGELOG.name, 0, 1, rows)}


def complaints(report):
    return [str(found) for found in (*report.differences, *report.violations)]


@pytest.mark.parametrize(
    ("committed", "told", "missing"),
    [
        (1, notices(), True),
        (1, {}, True),
        (1, notices("1:paid", "2:new"), True),
        (1, notices("1:new"), False),
        (0, notices(), False),
    ],
)
def test_a_fact_whose_reader_is_done_with_it_has_a_notice(committed, told, missing):
    one, report = folding({FACTS: 1}, {FACTS: committed})
    one.expect_notices(told)
    one.take(FACTS, [record(FACT, partition=0)])
    one.finish()

    expected = "order.events-0@0 is committed, and notifications-sent-changelog"
    assert [text.startswith(expected) for text in complaints(report)] == [True] * missing


@pytest.mark.parametrize(("version", "found"), [(1, 1), (2, 2)])
def test_a_copy_that_holds_more_than_its_log_is_named(version, found):
    """And what it holds is compared with all that there is."""
    one, report = folding({GOODS: 1}, {GOODS: 1})
    row = Row(b"1", b'{"available":{"1":5},"reserved":{}}', version)
    copy = TableSnapshot(
        STOCK_CHANGELOG.name, 0, version, {b"1": SnapshotRow(row, "there@1")}
    )
    one.expect(AGGREGATES[STOCK_REQUESTS], copy)
    one.take(GOODS, [record(PUT_IN, partition=0)])
    one.finish()

    told = complaints(report)
    assert len(told) == found  # the receipt is missing
    assert any("it says that it holds 2 records" in text for text in told) == (version == 2)


def test_what_a_log_without_its_beginning_says_is_not_folded():
    one, report = folding({GOODS: 2}, {GOODS: 2}, begins={GOODS: 1}.items())
    one.expect(AGGREGATES[STOCK_REQUESTS], TableSnapshot(STOCK_CHANGELOG.name, 0, 2))
    one.take(GOODS, [record(PUT_IN, partition=0, offset=1)])
    one.finish()

    assert complaints(report) == []
    assert not one.received
    assert not one.is_whole


@pytest.mark.parametrize(("committed", "quiet"), [(0, False), (1, True), (2, True)])
def test_it_is_quiet_when_all_that_the_logs_hold_was_done(committed, quiet):
    one, _ = folding({GOODS: 1}, {GOODS: committed})
    assert one.is_quiet == quiet
