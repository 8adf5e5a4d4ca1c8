"""Snapshots of tables are compared with the replay of their logs."""

import re

import orjson
import pytest

from agents.ops.audit.snapshots import TableSnapshot
from agents.runtime.changelog import PROCESSED_OFFSET_HEADER
from agents.runtime.rows import Row
from schemas.cart import AddToCart, EraseCart
from schemas.stock import ReceiveStock
from topics.catalog import (
    CART_REQUESTS,
    ORDER_REQUESTS,
    ORDERS_CHANGELOG,
    STOCK_REQUESTS,
)

from .dead_letters import record
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
    snapshot.rows[key] = snapshot.rows[key]._replace(value=value)


def location(snapshot, key):
    return f"{snapshot.changelog.name}-0@{snapshot.offsets[key]}"


@pytest.mark.parametrize("topic", [CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS])
def test_a_changed_row_is_named(topic):
    partition, snapshot = busiest(topic)
    key = next(key for key, there in snapshot.rows.items() if NUMBER.search(there.value))
    forge(snapshot, key, NUMBER.sub(b":9999", snapshot.rows[key].value, count=1))

    (found,) = differences(partition, snapshot)

    assert f"row {key.decode()!r} at {location(snapshot, key)}" in found
    assert f"source offset {snapshot.source_offset}: " in found
    assert f"{topic.name}-0@" in found


def test_a_missing_row_is_named():
    partition, snapshot = busiest(ORDER_REQUESTS)
    (key, lost) = snapshot.rows.popitem()

    (found,) = differences(partition, snapshot)

    assert f"row {key.decode()!r}" in found
    assert "no row, but the log up to" in found
    assert lost.value.decode()[:100] in found


def test_a_deleted_row_is_named():
    partition, snapshot = busiest(CART_REQUESTS)
    key = next(iter(snapshot.rows))
    forge(snapshot, key, None)

    (found,) = differences(partition, snapshot)

    assert f"row {key.decode()!r} at {location(snapshot, key)}" in found


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
    replayed.compare(snapshot)
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
    snapshot.rows[key] = Row(key, b'{"available":{"1":5},"reserved":{}}', 1)
    snapshot.offsets[key] = 9

    (found,) = differences(partition, snapshot)

    assert "row '77' at loms-stock-changelog-0@9" in found
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


def changelog(*rows):
    """Return the records of one row, which were written at these source offsets."""
    name = ORDERS_CHANGELOG.name
    for source_offset, value in rows:
        header = (PROCESSED_OFFSET_HEADER, str(source_offset).encode())
        yield record(name, value, b"1", [header])


def test_of_a_rows_changelog_records_the_highest_source_offset_wins():
    snapshot = TableSnapshot(ORDERS_CHANGELOG, 0)
    snapshot.recover(changelog((5, b"old"), (9, b"new"), (7, b"a zombie's")))

    assert snapshot.rows[b"1"].value == b"new"
    assert snapshot.source_offset == 9


def test_of_equal_source_offsets_the_later_record_wins():
    snapshot = TableSnapshot(ORDERS_CHANGELOG, 0)
    snapshot.recover(changelog((9, b"first"), (9, b"again")))

    assert snapshot.rows[b"1"].value == b"again"


def test_a_stale_row_is_named():
    partition, snapshot = busiest(ORDER_REQUESTS)
    key, there = max(snapshot.rows.items(), key=lambda item: len(item[1].value))
    earlier = b'"history":[{"status":"new"'
    value = there.value
    assert earlier in value
    cut = value[: value.index(b"},{", value.index(earlier))]
    rest = value[value.index(b"]", value.index(earlier)) :]
    forge(snapshot, key, cut + b"}" + rest)

    (found,) = differences(partition, snapshot)

    assert f"row {key.decode()!r}" in found


def test_fields_that_an_older_release_did_not_store_are_no_difference():
    partition, snapshot = busiest(CART_REQUESTS)
    for key, row in snapshot.rows.items():
        fields = orjson.loads(row.value)
        del fields["changed_at"]
        forge(snapshot, key, orjson.dumps(fields))
    assert differences(partition, snapshot) == []

    forge(snapshot, key, orjson.dumps(fields | {"changed_at": None}))  # none stores that
    assert len(differences(partition, snapshot)) == 1
    forge(snapshot, key, orjson.dumps(fields | {"lines": {"99": 1}}))
    assert len(differences(partition, snapshot)) == 1
