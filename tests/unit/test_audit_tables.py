"""Copies of tables against the fold of their logs: only what is right passes."""

import re
from dataclasses import replace

import pytest

from agents.ops.audit.snapshots import SnapshotRow, TableSnapshot, compare
from agents.runtime.state_store import Row
from schemas.cart import AddToCart, EraseCart
from schemas.stock import ReceiveStock
from topics.catalog import CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS

from .logs import copy, differences, log, replay
from .shoppers import Shoppers
from .world import World

SEEDS = range(10)
NUMBER = re.compile(rb":[0-9]+")


def a_morning(seed):
    """Let people shop, and stop the world while much is under way."""
    world = World(seed)
    people = Shoppers(world)
    people.open_the_shop()
    people.shop(40)
    return world


@pytest.mark.parametrize("seed", SEEDS)
def test_tables_are_what_their_logs_say_even_while_much_is_under_way(seed):
    for partition in a_morning(seed).all():
        assert differences(partition, copy(partition)) == []


def busiest(topic):
    """Return the partition of a topic with the most rows, and a copy of it."""
    partitions = a_morning(1).partitions[topic]
    partition = max(partitions, key=lambda one: len(one.rows))
    return partition, copy(partition)


def forge(kept, key, value):
    there = kept.rows[key]
    kept.rows[key] = replace(there, row=there.row._replace(value=value))


@pytest.mark.parametrize("topic", [CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS])
def test_a_row_that_was_changed_is_named(topic):
    partition, kept = busiest(topic)
    key = next(key for key, there in kept.rows.items() if NUMBER.search(there.row.value))
    forge(kept, key, NUMBER.sub(b":9999", kept.rows[key].row.value, count=1))

    (found,) = differences(partition, kept)

    assert f"row {key.decode()!r} at {kept.rows[key].at}" in found
    assert f"version {kept.version}" in found
    assert f"{topic.name}-0@" in found


def test_a_row_that_is_missing_is_named():
    partition, kept = busiest(ORDER_REQUESTS)
    (key, lost) = kept.rows.popitem()

    (found,) = differences(partition, kept)

    assert f"row {key.decode()!r}" in found
    assert "no row, but the log up to" in found
    assert lost.row.value.decode()[:100] in found


def test_a_row_that_was_deleted_is_named():
    partition, kept = busiest(CART_REQUESTS)
    key = next(iter(kept.rows))
    forge(kept, key, None)

    (found,) = differences(partition, kept)

    assert f"row {key.decode()!r} at {kept.rows[key].at}" in found


def test_a_row_may_be_gone_that_the_log_erases_further_on():
    world = World(1, crashes=0, echoes=0, delays=0)
    world.ask(ReceiveStock(sku=1, warehouse_id=1, count=9))
    world.settle()
    world.ask(AddToCart(user=1, sku=1, count=2))
    world.settle()
    partition = next(p for p in world.partitions[CART_REQUESTS] if p.rows)
    kept = copy(partition)
    kept.rows.clear()  # Kafka has compacted it, and what said that it is no more
    folding, found = replay(partition), []
    folding.at_offset(kept.version, lambda: found.extend(compare(folding, kept)))
    for said in log(partition):
        folding.take(said)
    folding.advance_to(kept.version)

    (missing,) = found
    assert not missing.is_erased(folding)

    world.ask(EraseCart(user=1))
    for said in log(partition)[kept.version :]:
        folding.take(said)

    assert missing.is_erased(folding)


def test_a_row_of_which_no_log_knows_is_named():
    partition, kept = busiest(STOCK_REQUESTS)
    key = b"77"
    kept.rows[key] = SnapshotRow(
        Row(key, b'{"available":{"1":5},"reserved":{}}', 1), "there@9"
    )

    (found,) = differences(partition, kept)

    assert "row '77' at there@9" in found
    assert "says no row" in found


@pytest.mark.parametrize("value", [b"", b"{}}", b'{"available":{"1":"x"}}', b"\xff"])
def test_a_row_that_nobody_can_read_is_named(value):
    partition, kept = busiest(STOCK_REQUESTS)
    key = next(key for key in kept.rows if b"/" not in key)
    forge(kept, key, value)

    (found,) = differences(partition, kept)

    assert f"row {key.decode()!r}" in found
    assert "which can't be read" in found


def test_rows_of_another_moment_than_their_version_says_are_found():
    partition, kept = busiest(STOCK_REQUESTS)
    put_in = next(
        offset + 1
        for offset, said in enumerate(partition.log)
        if isinstance(STOCK_REQUESTS.decode(said.value), ReceiveStock)
    )
    kept.version = put_in - 1

    assert differences(partition, kept)


def row(version, value, key=b"1"):
    return SnapshotRow(Row(key, value, version), f"there@{version}")


def test_of_a_rows_changelog_records_the_highest_version_counts():
    kept = TableSnapshot("a changelog", 0)
    kept.recover([row(5, b"old"), row(9, b"new"), row(7, b"a ghost's")])

    assert kept.rows[b"1"].row.value == b"new"
    assert kept.version == 9


def test_of_equal_versions_the_later_one_counts():
    kept = TableSnapshot("a changelog", 0)
    kept.recover([row(9, b"first"), row(9, b"again")])

    assert kept.rows[b"1"].row.value == b"again"


def test_a_stale_row_that_won_is_found():
    partition, kept = busiest(ORDER_REQUESTS)
    key, there = max(kept.rows.items(), key=lambda item: len(item[1].row.value))
    earlier = b'"steps":[{"status":"new"'
    value = there.row.value
    assert earlier in value
    cut = value[: value.index(b"},{", value.index(earlier))]
    rest = value[value.index(b"]", value.index(earlier)) :]
    forge(kept, key, cut + b"}" + rest)

    (found,) = differences(partition, kept)

    assert f"row {key.decode()!r}" in found
