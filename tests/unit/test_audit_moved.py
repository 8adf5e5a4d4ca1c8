"""A checkpoint goes on over repartitions: an audit from it finds what a whole one finds."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from agents.ops.audit.checkpoint import Checkpoint
from agents.ops.audit.checkpoint_files import load, save
from agents.ops.audit.invariants import balances, violations
from agents.ops.audit.moved import move
from topics.catalog import DEAD_LETTERS, ORDER_EVENTS, STOCK_REQUESTS
from topics.kafka.reader import OffsetRange, ReadError
from topics.layout import Layout, MovedLog

from .audits import Audit, shopping
from .moving_world import MovingWorld
from .shoppers import Shoppers

SEEDS = range(20)
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
OLD, NEW = 2, 3
ENDS = pytest.mark.parametrize("is_clean", [True, False], ids=["stopped", "killed"])


def moved(checkpoint: Checkpoint, world: MovingWorld) -> Checkpoint:
    """Return a checkpoint in the present logs."""
    for generation in range(checkpoint.generation, world.generation):
        checkpoint = move(checkpoint, world.moved[generation])
    return checkpoint


def settled(world: MovingWorld) -> MovingWorld:
    """Return a World in which all is committed."""
    world.settle()
    for partition in world.all():
        partition.commit()
    return world


def values(world: MovingWorld) -> set[bytes]:
    """Return the values of all records."""
    return {record.value for partition in world.all() for record in partition.log}


def found(audit: Audit) -> tuple:
    """Return all findings that do not depend on where the audit began."""
    rows = {tp: (replay.rows, replay.turnover) for tp, replay in audit.replays.items()}
    return rows, audit.differences, audit.outputs.missing, audit.outputs.in_flight


@ENDS
@pytest.mark.parametrize("seed", SEEDS)
def test_a_checkpoint_of_the_stopped_shop_goes_on(
    seed: int, is_clean: bool, tmp_path: Path
):
    """With messages that wait and, of killed workers, rows ahead of what is committed."""
    world, people = shopping(seed, 40, OLD)
    people.shop(20)
    world.stop(is_clean=is_clean)
    stopped = Audit(world, Audit(world).checkpoint)
    world.repartition(NEW)
    start = moved(load(save(tmp_path, stopped.checkpoint, NOON)), world)

    for requests in (0, 30):
        people.shop(requests)
        assert found(Audit(world, start)) == found(Audit(world))
    settled(world)
    whole, later = Audit(world), Audit(world, start)
    assert found(later) == found(whole)
    assert whole.differences == []
    assert whole.outputs.missing == {}
    assert later.records < whole.records
    last = Audit(world, Audit(world, start).checkpoint)
    assert last.records == 0
    assert not last.differences


@ENDS
@pytest.mark.parametrize("seed", SEEDS)
def test_a_checkpoint_whose_older_requests_were_deleted_goes_on(seed: int, is_clean: bool):
    """Over two repartitions, and from the moment at which it was written under load."""

    def grown(*, forgets: bool) -> tuple[MovingWorld, Shoppers, Checkpoint]:
        world, people = shopping(seed, 40, OLD)
        start = Audit(world).checkpoint
        if forgets:
            world.forget_before(dict(start.offsets))
        people.shop(20)
        world.stop(is_clean=is_clean)
        world.repartition(NEW)
        return world, people, start

    (whole, *_), (world, people, start) = grown(forgets=False), grown(forgets=True)
    expected, later = Audit(whole), Audit(world, moved(start, world))
    assert found(later) == found(expected)
    assert later.records < expected.records

    people.shop(20)
    world.stop(is_clean=is_clean)
    world.repartition(1)
    people.shop(20)
    for _ in range(2):
        later = Audit(world, moved(start, world))
        assert later.differences == []
        assert later.outputs.missing == {}
        settled(world)
    stock = later.replays[TopicPartition(STOCK_REQUESTS.name, 0)]
    assert not list(violations(balances(stock.rows, [stock.turnover])))


@ENDS
@pytest.mark.parametrize("seed", SEEDS)
def test_a_lost_record_is_named_as_in_a_whole_audit(seed: int, is_clean: bool):
    """One that was sent after the checkpoint, also by a record from before it."""
    world, _ = shopping(seed, 40, OLD)
    world.stop(is_clean=is_clean)
    stopped, before = Audit(world).checkpoint, values(world)
    world.repartition(NEW)
    start = moved(stopped, world)
    later = values(settled(world))
    for value in later - before:
        missing = Audit(world, lost=value).outputs.missing
        assert Audit(world, start, lost=value).outputs.missing == missing


def test_after_a_repartition_records_are_missed_at_all():
    """Else the test above would prove nothing."""
    world, _ = shopping(1, 40, OLD)
    world.stop(is_clean=False)
    start = Audit(world).checkpoint
    world.repartition(NEW)
    start = moved(start, world)
    lost = [Audit(world, start, each).outputs.missing for each in values(settled(world))]
    assert any(lost)


@pytest.mark.parametrize("key", ["sku", "order"])
def test_a_forged_row_of_a_moved_table_is_named(key: str):
    """Its last change lies before the repartition."""
    world, _ = shopping(1, 60, OLD)
    settled(world)
    start = Audit(world).checkpoint
    world.repartition(NEW)
    (stock,) = [
        p for p in world.partitions[STOCK_REQUESTS] if any("/" in k for k in p.rows)
    ][:1]
    name = next(name for name in stock.rows if ("/" in name) == (key == "order"))
    stock.rows[name] = b'{"status":"released"}' if "/" in name else b'{"available":{"1":9}}'

    later = Audit(world, moved(start, world))

    assert later.records == 0
    (difference,) = later.differences
    assert f"row {name!r}" in difference
    assert f"{STOCK_REQUESTS.name}-" in difference


@pytest.mark.parametrize("seed", range(5))
def test_a_checkpoint_of_the_running_shop_is_refused(seed: int):
    """Nothing tells which of the moved records it has."""
    world, people = shopping(seed, 40, OLD)
    start = Audit(world).checkpoint
    people.shop(20)
    world.stop(is_clean=True)
    last = Audit(world, start).checkpoint
    world.repartition(NEW)

    with pytest.raises(ReadError, match="stop the workers and write a checkpoint before"):
        moved(start, world)

    later = Audit(world, moved(last, world))
    assert later.differences == []
    assert later.outputs.missing == {}


def test_a_checkpoint_from_before_an_unknown_repartition_is_refused():
    with pytest.raises(ReadError, match="whose offsets are not known"):
        move(Checkpoint("here"), {})


def logs(of_topic: MovedLog, name: str) -> Mapping[str, MovedLog]:
    world = MovingWorld(1, OLD)
    world.repartition(NEW)
    return world.moved[0] | {name: of_topic}


@pytest.mark.parametrize("topic", [ORDER_EVENTS, DEAD_LETTERS[STOCK_REQUESTS]])
@pytest.mark.parametrize(("offset", "expected"), [(9, [12, 12, 12]), (7, [1, 1, 1])])
def test_of_events_and_dead_letters_an_audit_may_read_some_again(topic, offset, expected):
    """Their retention may have deleted some of those above the checkpoint, too."""
    old, new = [OffsetRange(8, 9)] * OLD, [OffsetRange(1, 12)] * NEW
    offsets = dict.fromkeys(MovingWorld(1, OLD).held(), 0)
    offsets |= {TopicPartition(topic.name, number): offset for number in range(OLD)}

    start = move(Checkpoint("here", 0, offsets), logs(MovedLog(old, new), topic.name))

    assert [start.offsets[topic.name, number] for number in range(NEW)] == expected


def test_a_row_may_be_deleted_once_it_has_expired_by_the_time_of_its_old_partition():
    """Its new partition may have no record of that time yet."""
    world, _ = shopping(1, 60, OLD)
    settled(world)
    start = Audit(world).checkpoint
    world.repartition(NEW)
    later = moved(start, world)
    for topic in world.partitions:
        new = {s.newest_ms for tp, s in later.tables.items() if tp.topic == topic.name}
        old = {s.newest_ms for tp, s in start.tables.items() if tp.topic == topic.name}
        assert len(old) == OLD
        assert new == {max(old)}


def test_the_offsets_of_the_oldest_repartitions_give_way():
    """The record of the layout must not become too large."""
    many = MovedLog([OffsetRange(2**40, 2**40)] * 1000, [OffsetRange(2**40, 2**40)] * 1000)
    layout = Layout(20, moved={n: {"one": many, "two": many} for n in range(20)})
    record = layout.to_json()
    assert len(record) <= 2**19
    assert b'"19":{"one":' in record
    assert b'"0":{"one":' not in record
    assert replace(layout, moved={19: layout.moved[19]}).to_json().count(b"two") == 1
