"""Rows: which of two records wins, and which files are used again."""

import shutil
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from agents.runtime.changelog import ChangelogProducer, recover
from agents.runtime.state_store import Row, StateStore
from tests.component.worker_harness import WorkerHarness, breathe, header
from topics.catalog import STOCK_CHANGELOG

OLD, NEW = b'"old"', b'"new"'


@pytest.fixture
def store(tmp_path: Path) -> StateStore:
    return StateStore(tmp_path / "store", "here")


@pytest.fixture
async def changelog(harness: WorkerHarness, store: StateStore) -> ChangelogProducer:
    """An empty changelog of the rows."""
    written = ChangelogProducer(harness.app.batching_producer, STOCK_CHANGELOG, store)
    await written.rewrite_superseded()
    return written


def copy(directory: Path) -> Path:
    """Return the files as a crash of this moment would leave them."""
    return Path(shutil.copytree(directory / "store", directory / "copy"))


def recovered(store: StateStore, *rows: Row) -> None:
    recover(store, 0, rows, store.offsets[0].changelog_offset + len(rows))


def test_the_highest_source_offset_of_a_row_wins_in_any_order(store: StateStore):
    recovered(store, Row(b"a", NEW, 9), Row(b"a", OLD, 5), Row(b"b", OLD, 5))
    recovered(store, Row(b"b", NEW, 9))
    recovered(store, Row(b"b", OLD, 6))
    assert dict(store.rows(0)) == {b"a": NEW, b"b": NEW}
    assert store.offsets[0].source_offset == 9
    assert store.offsets[0].changelog_offset == 5


def test_of_two_rows_of_the_same_source_offset_the_later_one_wins(store: StateStore):
    recovered(store, Row(b"a", OLD, 5), Row(b"a", NEW, 5))
    assert store.get(0, b"a") == NEW


def test_a_row_that_was_deleted_is_gone(store: StateStore):
    recovered(store, Row(b"a", OLD, 5), Row(b"a", None, 6))
    assert store.get(0, b"a") is None


def test_a_zombies_write_of_a_deleted_row_does_not_count(store: StateStore):
    recovered(store, Row(b"a", OLD, 5), Row(b"a", None, 9))
    recovered(store, Row(b"a", NEW, 6))
    assert store.get(0, b"a") is None
    assert not dict(store.rows(0))
    assert store.offsets[0].superseded == {b"a": Row(b"a", None, 9)}


def test_a_deleted_row_may_be_written_again(store: StateStore):
    store.put(0, {b"a": OLD, b"b": OLD}, 5)
    store.put(0, {b"a": None}, 6)
    assert dict(store.rows(0)) == {b"b": OLD}
    store.put(0, {b"a": NEW}, 7)
    assert store.get(0, b"a") == NEW


def test_a_revoked_partition_loses_its_rows_and_no_others(store: StateStore):
    for partition in (0, 1, 2):
        store.put(partition, {b"a": NEW}, 3)
    store.drop_partition(1)
    assert [store.get(partition, b"a") for partition in (0, 1, 2)] == [NEW, None, NEW]
    assert store.offsets.keys() == {0, 2}


async def test_a_zombies_write_is_overwritten_by_the_valid_row(
    harness: WorkerHarness, store: StateStore
):
    recovered(store, Row(b"a", NEW, 9), Row(b"b", NEW, 9), Row(b"a", OLD, 5))
    await ChangelogProducer(
        harness.app.batching_producer, STOCK_CHANGELOG, store
    ).rewrite_superseded()
    harness.ends[TopicPartition(STOCK_CHANGELOG.name, 0)] = 3
    await harness.arrive()
    [again] = harness.sent(STOCK_CHANGELOG.name)
    assert (again.key, again.value) == (b"a", NEW)
    assert header(again, "version") == "9"
    assert not store.offsets[0].superseded


async def test_another_writer_is_detected_at_the_next_row(
    harness: WorkerHarness,
    store: StateStore,
    changelog: ChangelogProducer,
    deaths: list[str],
):
    store.put(0, {b"a": NEW}, 1)
    changelog.produce(0, {b"a": NEW}, 1)
    await harness.arrive()
    assert not deaths
    harness.ends[TopicPartition(STOCK_CHANGELOG.name, 0)] += 1  # of the other writer
    changelog.produce(0, {b"a": NEW}, 2)
    await harness.arrive()
    assert "another writer" in deaths[0]


async def test_rows_that_exceed_a_record_batch_are_not_written_at_all(
    harness: WorkerHarness, changelog: ChangelogProducer
):
    rows = {b"%d" % number: b"x" * 300_000 for number in range(4)}
    with pytest.raises(ValueError, match="more than one record batch"):
        changelog.produce(0, rows, 1)
    await breathe()
    assert not harness.lying


async def test_files_are_used_again_after_a_clean_stop(
    harness: WorkerHarness, store: StateStore, changelog: ChangelogProducer, tmp_path: Path
):
    store.put(0, {b"a": NEW}, 7)
    changelog.produce(0, {b"a": NEW}, 7)
    await harness.arrive()
    store.close()
    again = StateStore(copy(tmp_path), "here")
    assert again.get(0, b"a") == NEW
    assert (again.offsets[0].source_offset, again.offsets[0].changelog_offset) == (7, 1)


async def test_files_that_are_ahead_of_the_changelog_are_not_used_again(
    store: StateStore, changelog: ChangelogProducer, tmp_path: Path
):
    store.put(0, {b"a": NEW}, 7)
    changelog.produce(0, {b"a": NEW}, 7)  # and it never arrives
    store.close()
    assert StateStore(copy(tmp_path), "here").get(0, b"a") is None


def test_files_of_a_crash_are_not_used_again(store: StateStore, tmp_path: Path):
    recover(store, 0, [Row(b"a", OLD, 5)], 1)
    store._db.flush()  # noqa: SLF001 -- the crash comes after it
    again = StateStore(copy(tmp_path), "here")
    assert again.get(0, b"a") is None
    assert not again.offsets


def test_files_of_a_crash_after_a_clean_stop_are_not_used_again(
    store: StateStore, tmp_path: Path
):
    store.close()
    second = StateStore(tmp_path / "store", "here")
    recover(second, 0, [Row(b"a", OLD, 5)], 1)
    second._db.flush()  # noqa: SLF001 -- the crash comes after it
    assert StateStore(copy(tmp_path), "here").get(0, b"a") is None


def test_torn_files_are_rebuilt(store: StateStore, tmp_path: Path):
    recover(store, 0, [Row(b"a", OLD, 5)], 1)
    store.close()
    there = copy(tmp_path)
    (there / "rows" / "CURRENT").write_bytes(b"torn")
    again = StateStore(there, "here")
    assert again.get(0, b"a") is None
    assert not again.offsets
