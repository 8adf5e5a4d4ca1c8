"""All logs together: snapshots ahead of their log, events without a notification."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import TopicPartition

from agents.ops.audit.audit import replays_of
from agents.ops.audit.outputs import OutputCheck
from agents.ops.audit.snapshots import TableSnapshot
from agents.runtime.rows import Row
from schemas.cart import DeleteFromCart, ListCart, StockChecked
from schemas.contract import Item
from schemas.order import OrderStatusChanged, Status
from schemas.stock import ListStocks, ReceiveStock
from tests.component.worker_harness import record
from topics.catalog import (
    CART_REQUESTS,
    CARTS_CHANGELOG,
    ORDER_EVENTS,
    SENT_CHANGELOG,
    STOCK_CHANGELOG,
    STOCK_REQUESTS,
)
from topics.kafka.reader import OffsetRange
from topics.topology import GROUPS

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
EVENT = OrderStatusChanged(
    order_id=1, user=7, status=Status.NEW, items=(Item(sku=1, count=2),), at=NOON
)
PUT_IN = ReceiveStock(sku=1, warehouse_id=1, count=5)
EVENTS, STOCK, CART = (
    TopicPartition(t.name, 0) for t in (ORDER_EVENTS, STOCK_REQUESTS, CART_REQUESTS)
)


def ranges(ends, begins=()):
    """Return the offset ranges of all logs, most of them empty, of one partition each."""
    tps = [TopicPartition(topic.name, 0) for topic in GROUPS]
    return {tp: OffsetRange(dict(begins).get(tp, 0), ends.get(tp, 0)) for tp in tps}


def replays(ends, begins=()):
    return replays_of(ranges(ends, begins), dict.fromkeys(GROUPS, 1))


def notifications(*event_ids):
    """Return the changelog of these notifications."""
    rows = {name.encode(): Row(name.encode(), b"{}", 1) for name in event_ids}
    tp = TopicPartition(SENT_CHANGELOG.name, 0)
    return {tp: TableSnapshot(SENT_CHANGELOG, 0, 1, rows)}


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
    now = NOON.timestamp()
    outputs = OutputCheck(ranges({EVENTS: 1}), {EVENTS: committed}, snapshots, now=now)
    outputs.take(replays({EVENTS: 1})[EVENTS].take(record(EVENT, partition=0)))

    expected = "order.events-0@0 is committed, and notifications-sent-changelog has no"
    texts = outputs.missing.values()
    assert [text.startswith(expected) for text in texts] == [True] * missing
    assert all(text.endswith(", key 1:new") for text in texts)


@pytest.mark.parametrize(("source_offset", "found"), [(1, 1), (2, 2)])
def test_a_snapshot_ahead_of_its_log_is_named(source_offset, found):
    """And its rows are compared with the whole log."""
    row = Row(b"1", b'{"available":{"1":5},"reserved":{}}', source_offset)
    replay = replays({STOCK: 1})[STOCK]
    replay.compare(TableSnapshot(STOCK_CHANGELOG, 0, source_offset, {row.key: row}))
    replayed = replay.take(record(PUT_IN, partition=0))

    assert replayed.changed
    texts = replay.differences()
    assert len(texts) == found  # the receipt is missing
    ahead = any("it includes 2 records" in text for text in texts)
    assert ahead == (source_offset == 2)


def test_a_log_without_its_first_records_is_not_replayed():
    begins = {STOCK: 1}.items()

    assert STOCK in replays({STOCK: 2})
    assert STOCK not in replays({STOCK: 2}, begins)
    outputs = OutputCheck(ranges({STOCK: 2}, begins), {}, {})
    assert outputs.whole == {t.name for t in GROUPS} - {STOCK_REQUESTS.name}


@pytest.mark.parametrize(
    ("committed", "begin", "conclusive"),
    [(0, 0, True), (1, 1, False), (2, 1, True), (3, 1, True)],
)
def test_orders_are_compared_if_the_outputs_of_uncommitted_records_are_known(
    committed, begin, conclusive
):
    parts = ranges({STOCK: 2}, {STOCK: begin}.items())
    assert OutputCheck(parts, {STOCK: committed}, {}).is_conclusive() == conclusive


@pytest.mark.parametrize(("days", "missing"), [(29, True), (31, False)])
def test_a_notification_may_be_deleted_when_kafka_deletes_its_event(days, missing):
    now = (NOON + timedelta(days=days)).timestamp()
    outputs = OutputCheck(ranges({EVENTS: 1}), {EVENTS: 1}, {}, now=now)
    outputs.take(replays({EVENTS: 1})[EVENTS].take(record(EVENT, partition=0)))

    assert bool(outputs.missing) == missing


@pytest.mark.parametrize(
    ("later", "missing"), [(timedelta(hours=23), True), (timedelta(hours=25), False)]
)
def test_an_entry_may_be_deleted_once_a_record_is_younger(later, missing):
    """Even one that changes no row, so that it is not in the snapshot's offset."""
    replay = replays({STOCK: 2})[STOCK]
    level = Row(b"1", b'{"available":{"1":5},"reserved":{}}', 1)
    replay.compare(TableSnapshot(STOCK_CHANGELOG, 0, 1, {level.key: level}))
    replay.take(record(PUT_IN, partition=0))
    query = record(ListStocks(sku=1), offset=1, partition=0)
    replay.take(dataclasses.replace(query, timestamp=query.timestamp + _ms(later)))

    assert bool(replay.differences()) == missing


@pytest.mark.parametrize(("days", "missing"), [(29, True), (31, False)])
def test_a_cart_may_be_deleted_although_an_older_row_was_the_last_to_change(days, missing):
    """Kafka has dropped the deletion, too: the snapshot's offset lies before the end."""
    kept, emptied = (StockChecked(user=u, sku=1, count=1, available=9) for u in (2, 1))
    log = [
        record(request, offset=offset, partition=0)
        for offset, request in enumerate(
            (emptied, kept, DeleteFromCart(user=1, sku=1, count=1), ListCart(user=3))
        )
    ]
    late = log[-1].timestamp + _ms(timedelta(days=days))
    log[-1] = dataclasses.replace(log[-1], timestamp=late)
    before, replay = (replays({CART: 4})[CART] for _ in range(2))
    for each in log[:2]:
        before.take(each)
    row = Row(b"2", before.json("2").encode(), 2)
    replay.compare(TableSnapshot(CARTS_CHANGELOG, 0, 2, {row.key: row}))
    for each in log:
        replay.take(each)

    assert bool(replay.differences()) == missing


def _ms(time):
    return time // timedelta(milliseconds=1)
