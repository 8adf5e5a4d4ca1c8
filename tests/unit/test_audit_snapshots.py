"""Snapshots of tables are compared with the replay of their logs."""

import re
from dataclasses import replace

import pytest

from agents.ops.audit.snapshots import SnapshotRow, TableSnapshot
from agents.runtime.rows import Row
from schemas.cart import AddToCart, EraseCart
from schemas.stock import ReceiveStock
from topics.catalog import (
    CART_REQUESTS,
    ORDER_REQUESTS,
    ORDERS_CHANGELOG,
    STOCK_REQUESTS,
)

from .logs import differences, log, replay, snapshot_of
from .shoppers import Shoppers
from .world import World

SEEDS = range(10)
NUMBER = re.compile(rb":[0-9]+")


def a_morning(seed):
    """Let shoppers shop, and stop the world while messages are in flight."""
    world = World(seed)
    people = Shoppers(world)
    people.open_the_shop()
    people.shop(40)
    return world


@pytest.mark.parametrize("seed", SEEDS)
def test_tables_match_their_logs_while_messages_are_in_flight(seed):
    for partition in a_morning(seed).all():
        assert differences(partition, snapshot_of(partition)) == []


def busiest(topic):
    """Return the partition of a topic with the most rows, and its snapshot."""
    partitions = a_morning(1).partitions[topic]
    partition = max(partitions, key=lambda one: len(one.rows))
    return partition, snapshot_of(partition)


def forge(snapshot, key, value):
    there = snapshot.rows[key]
    snapshot.rows[key] = replace(there, row=there.row._replace(value=value))


@pytest.mark.parametrize("topic", [CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS])
def test_a_changed_row_is_named(topic):
    partition, snapshot = busiest(topic)
    key = next(
        key for key, there in snapshot.rows.items() if NUMBER.search(there.row.value)
    )
    forge(snapshot, key, NUMBER.sub(b":9999", snapshot.rows[key].row.value, count=1))

    (found,) = differences(partition, snapshot)

    assert f"row {key.decode()!r} at {snapshot.rows[key].at}" in found
    assert f"source offset {snapshot.source_offset}: " in found
    assert f"{topic.name}-0@" in found


def test_a_missing_row_is_named():
    partition, snapshot = busiest(ORDER_REQUESTS)
    (key, lost) = snapshot.rows.popitem()

    (found,) = differences(partition, snapshot)

    assert f"row {key.decode()!r}" in found
    assert "no row, but the log up to" in found
    assert lost.row.value.decode()[:100] in found


def test_a_deleted_row_is_named():
    partition, snapshot = busiest(CART_REQUESTS)
    key = next(iter(snapshot.rows))
    forge(snapshot, key, None)

    (found,) = differences(partition, snapshot)

    assert f"row {key.decode()!r} at {snapshot.rows[key].at}" in found


def test_a_row_may_be_gone_that_the_log_erases_further_on():
    world = World(1, crashes=0, echoes=0, delays=0)
    world.ask(ReceiveStock(sku=1, warehouse_id=1, count=9))
    world.settle()
    world.ask(AddToCart(user=1, sku=1, count=2))
    world.settle()
    partition = next(p for p in world.partitions[CART_REQUESTS] if p.rows)
    snapshot = snapshot_of(partition)
    snapshot.rows.clear()  # Kafka has compacted the row and its deletion
    replayed = replay(partition)
    replayed.compare(snapshot, snapshot.source_offset)
    for sent in log(partition):
        replayed.take(sent)
    assert len(replayed.differences()) == 1

    world.ask(EraseCart(user=1))
    for sent in log(partition)[snapshot.source_offset :]:
        replayed.take(sent)

    assert replayed.differences() == []


def test_a_row_that_is_in_no_log_is_named():
    partition, snapshot = busiest(STOCK_REQUESTS)
    key = b"77"
    snapshot.rows[key] = SnapshotRow(
        Row(key, b'{"available":{"1":5},"reserved":{}}', 1), "there@9"
    )

    (found,) = differences(partition, snapshot)

    assert "row '77' at there@9" in found
    assert "gives no row" in found


@pytest.mark.parametrize("value", [b"", b"{}}", b'{"available":{"1":"x"}}', b"\xff"])
def test_an_invalid_row_is_named(value):
    partition, snapshot = busiest(STOCK_REQUESTS)
    key = next(key for key in snapshot.rows if b"/" not in key)
    forge(snapshot, key, value)

    (found,) = differences(partition, snapshot)

    assert f"row {key.decode()!r}" in found
    assert "which is invalid" in found


def test_rows_of_another_source_offset_are_named():
    partition, snapshot = busiest(STOCK_REQUESTS)
    put_in = next(
        offset + 1
        for offset, sent in enumerate(partition.log)
        if isinstance(STOCK_REQUESTS.decode(sent.value), ReceiveStock)
    )
    snapshot.source_offset = put_in - 1

    assert differences(partition, snapshot)


def row(source_offset, value, key=b"1"):
    return SnapshotRow(Row(key, value, source_offset), f"there@{source_offset}")


def test_of_a_rows_changelog_records_the_highest_source_offset_wins():
    snapshot = TableSnapshot(ORDERS_CHANGELOG, 0)
    snapshot.recover([row(5, b"old"), row(9, b"new"), row(7, b"a zombie's")])

    assert snapshot.rows[b"1"].row.value == b"new"
    assert snapshot.source_offset == 9


def test_of_equal_source_offsets_the_later_record_wins():
    snapshot = TableSnapshot(ORDERS_CHANGELOG, 0)
    snapshot.recover([row(9, b"first"), row(9, b"again")])

    assert snapshot.rows[b"1"].row.value == b"again"


def test_a_stale_row_is_named():
    partition, snapshot = busiest(ORDER_REQUESTS)
    key, there = max(snapshot.rows.items(), key=lambda item: len(item[1].row.value))
    earlier = b'"history":[{"status":"new"'
    value = there.row.value
    assert earlier in value
    cut = value[: value.index(b"},{", value.index(earlier))]
    rest = value[value.index(b"]", value.index(earlier)) :]
    forge(snapshot, key, cut + b"}" + rest)

    (found,) = differences(partition, snapshot)

    assert f"row {key.decode()!r}" in found
