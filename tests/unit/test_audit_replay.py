"""All logs together: snapshots ahead of their log, events without a notification."""

from datetime import UTC, datetime

import pytest
from aiokafka import TopicPartition

from agents.ops.audit.audit import is_quiet
from agents.ops.audit.outputs import OutputCheck
from agents.ops.audit.replay import LogReplay
from agents.ops.audit.snapshots import SnapshotRow, TableSnapshot
from agents.runtime.rows import Row
from schemas.contract import Item
from schemas.order import OrderStatusChanged, Status
from schemas.stock import ReceiveStock
from tests.component.worker_harness import record
from topics.catalog import ORDER_EVENTS, SENT_CHANGELOG, STOCK_CHANGELOG, STOCK_REQUESTS
from topics.kafka.reader import OffsetRange
from topics.topology import GROUPS

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
EVENT = OrderStatusChanged(
    order_id=1, user=7, status=Status.NEW, items=(Item(sku=1, count=2),), at=NOON
)
PUT_IN = ReceiveStock(sku=1, warehouse_id=1, count=5)
EVENTS, STOCK = (TopicPartition(t.name, 0) for t in (ORDER_EVENTS, STOCK_REQUESTS))


def ranges(ends, begins=()):
    """Return the offset ranges of all logs, most of them empty, of one partition each."""
    tps = [TopicPartition(topic.name, 0) for topic in GROUPS]
    return {tp: OffsetRange(dict(begins).get(tp, 0), ends.get(tp, 0)) for tp in tps}


def log_replay(ends, begins=()):
    return LogReplay(ranges(ends, begins), dict.fromkeys(GROUPS, 1))


def notifications(*event_ids):
    """Return the changelog of these notifications."""
    rows = {
        name.encode(): SnapshotRow(Row(name.encode(), b"{}", 1), "") for name in event_ids
    }
    return {(SENT_CHANGELOG, 0): TableSnapshot(SENT_CHANGELOG, 0, 1, rows)}


@pytest.mark.parametrize(
    ("committed", "snapshots", "missing"),
    [
        (1, notifications(), True),
        (1, {}, True),
        (1, notifications("1:paid", "2:new"), True),
        (1, notifications("1:new"), False),
        (0, notifications(), False),
    ],
)
def test_a_committed_event_has_a_notification(committed, snapshots, missing):
    outputs = OutputCheck({EVENTS: committed}, frozenset(), snapshots)
    for replayed in log_replay({EVENTS: 1}).take(EVENTS, [record(EVENT, partition=0)]):
        outputs.take(replayed)

    expected = "order.events-0@0 is committed, and notifications-sent-changelog has no"
    texts = outputs.missing()
    assert [text.startswith(expected) for text in texts] == [True] * missing
    assert all(text.endswith(", key 1:new") for text in texts)


@pytest.mark.parametrize(("source_offset", "found"), [(1, 1), (2, 2)])
def test_a_snapshot_ahead_of_its_log_is_named(source_offset, found):
    """And its rows are compared with the whole log."""
    log = log_replay({STOCK: 1})
    row = Row(b"1", b'{"available":{"1":5},"reserved":{}}', source_offset)
    snapshot = TableSnapshot(
        STOCK_CHANGELOG, 0, source_offset, {b"1": SnapshotRow(row, "there@1")}
    )
    log.compare([snapshot])
    (replayed,) = log.take(STOCK, [record(PUT_IN, partition=0)])

    assert replayed.changed
    assert log.replays[STOCK].received == {(1, 1): 5}
    texts = log.differences()
    assert len(texts) == found  # the receipt is missing
    ahead = any("it includes 2 records" in text for text in texts)
    assert ahead == (source_offset == 2)


def test_a_log_without_its_first_records_is_not_replayed():
    log = log_replay({STOCK: 2}, begins={STOCK: 1}.items())
    log.compare([TableSnapshot(STOCK_CHANGELOG, 0, 2)])
    (replayed,) = log.take(STOCK, [record(PUT_IN, partition=0, offset=1)])

    assert log.differences() == []
    assert not replayed.changed
    assert STOCK not in log.replays
    assert log.whole_topics == {t.name for t in GROUPS} - {STOCK_REQUESTS.name}


@pytest.mark.parametrize(("committed", "quiet"), [(0, False), (1, True), (2, True)])
def test_a_shop_is_quiet_when_all_records_are_committed(committed, quiet):
    assert is_quiet(ranges({STOCK: 1}), {STOCK: committed}) == quiet
