"""An audit from a checkpoint comes to the same as one from the first records."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from agents.ops.audit.checkpoint import Checkpoint
from agents.ops.audit.checkpoint_files import load, save
from agents.ops.audit.replay import PartitionReplay
from agents.ops.audit.snapshots import TableSnapshot, TableState
from topics.catalog import DEAD_LETTERS, ORDER_EVENTS, STOCK_CHANGELOG, STOCK_REQUESTS
from topics.kafka.reader import OffsetRange, OffsetRanges, ReadError
from topics.topology import LOGS

from .audits import Audit, shopping

SEEDS = range(30)
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
STOCK = TopicPartition(STOCK_REQUESTS.name, 0)
EMPTY = {TopicPartition(topic.name, 0): OffsetRange(0, 0) for topic in LOGS}


@pytest.mark.parametrize("seed", SEEDS)
def test_an_audit_from_a_checkpoint_finds_the_same(seed: int, tmp_path: Path):
    """Also from one that was written by an audit from an earlier one."""
    world, people = shopping(seed, 40)
    first = Audit(world)
    assert not first.differences
    assert not first.outputs.missing
    start = load(save(tmp_path, first.checkpoint, NOON))
    assert start == first.checkpoint
    people.shop(40)
    whole, later = Audit(world), Audit(world, start)
    assert later.result() == whole.result()
    assert not whole.differences
    assert later.records < whole.records
    assert later.checkpoint.tables == whole.checkpoint.tables
    assert later.checkpoint.offsets == whole.checkpoint.offsets

    people.shop(20)
    world.settle()
    for partition in world.all():
        partition.commit()
    last = Audit(world, later.checkpoint)
    assert last.result() == Audit(world).result()
    assert last.outputs.missing == last.outputs.in_flight == {}


@pytest.mark.parametrize("received", [2**64 - 1, 2**64, 2**65 + 1])
def test_more_may_be_received_in_all_than_a_warehouse_can_hold(
    received: int, tmp_path: Path
):
    units = Counter({"received": received, "written_off": received - 5})
    tables = {STOCK: TableState(turnover={(1, 7): units})}
    checkpoint = Checkpoint("here", 0, {STOCK: 0}, tables)
    assert load(save(tmp_path, checkpoint, NOON)) == checkpoint


@pytest.mark.parametrize("seed", SEEDS)
def test_a_lost_output_of_a_record_that_was_uncommitted_is_named(seed: int):
    """It would have been sent after the checkpoint."""
    world, _ = shopping(seed, 40)
    start = Audit(world).checkpoint
    (stock,) = world.partitions[STOCK_REQUESTS]
    before = [sent.value for sent in stock.log]
    world.settle()
    for partition in world.all():
        partition.commit()
    later = [sent.value for sent in stock.log[len(before) :]]

    for value in set(later) - set(before):
        missing = Audit(world, lost=value).outputs.missing
        assert Audit(world, start, lost=value).outputs.missing == missing


def test_outputs_of_later_records_may_lie_before_a_checkpoint():
    """Else the test above would prove nothing about them."""
    found = [Audit(shopping(seed, 40)[0]).checkpoint for seed in SEEDS]
    assert sum(len(each.sent) for each in found) > len(SEEDS)


def test_a_row_that_differs_is_named_as_in_a_whole_audit(tmp_path: Path):
    """Its last change lies before the checkpoint."""
    world, _ = shopping(1, 60)
    world.settle()
    for partition in world.all():
        partition.commit()
    start = load(save(tmp_path, Audit(world).checkpoint, NOON))
    (stock,) = world.partitions[STOCK_REQUESTS]
    key = next(key for key in stock.rows if "/" not in key)
    forged = stock.rows | {key: b'{"available":{"1":9},"reserved":{}}'}
    stock.writes[-1] = forged, stock.version

    later = Audit(world, start)

    assert later.records == 0
    (found,) = later.differences
    assert f"row {key!r}" in found
    assert later.differences == Audit(world).differences


@pytest.mark.parametrize(("source_offset", "compared"), [(6, False), (7, True), (9, True)])
def test_a_store_from_before_a_checkpoint_is_not_compared(
    source_offset: int, compared: bool, tmp_path: Path
):
    replay = PartitionReplay(STOCK_REQUESTS, 0, 1)
    replay.begin_at(TableState(9, changed_end=7))
    copy = TableSnapshot(STOCK_CHANGELOG, 0, source_offset, {}, tmp_path)
    assert replay.compare(copy) == compared


A_CHECKPOINT = Checkpoint("here", 0, dict.fromkeys(EMPTY, 5))


def held(different: Mapping[TopicPartition, OffsetRange]) -> OffsetRanges:
    return {tp: OffsetRange(0, 9) for tp in EMPTY} | dict(different)


@pytest.mark.parametrize(
    ("place", "different", "reason"),
    [
        (("elsewhere", 0), {}, "of cluster here, not elsewhere"),
        (("here", 0), {STOCK: OffsetRange(6, 9)}, "stock.requests-0 lacks records"),
        (("here", 0), {STOCK: OffsetRange(0, 4)}, "stock.requests-0 ends at 4"),
        (("here", 0), {STOCK._replace(partition=1): OffsetRange(0, 9)}, "repartition"),
        (("here", 1), {}, "before a repartition"),
    ],
)
def test_logs_that_do_not_continue_a_checkpoint_are_refused(
    place: tuple[str, int], different: dict[TopicPartition, OffsetRange], reason: str
):
    with pytest.raises(ReadError, match=reason):
        A_CHECKPOINT.require(*place, held(different))


def test_events_and_dead_letters_may_be_deleted_by_their_retention():
    names = (ORDER_EVENTS.name, DEAD_LETTERS[STOCK_REQUESTS].name)
    gone = {TopicPartition(name, 0): OffsetRange(6, 9) for name in names}

    A_CHECKPOINT.require("here", 0, held(gone))

    covered = A_CHECKPOINT.covered(held(gone))
    assert {tp for tp, part in covered.items() if part.begin} == gone.keys()


def test_a_log_without_its_first_records_gives_no_checkpoint():
    with pytest.raises(ReadError, match="has lost its first 3 records"):
        Checkpoint().next_offsets(held({STOCK: OffsetRange(3, 9)}), {})
