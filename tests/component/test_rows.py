"""Rows: which of two records wins, and which files are used again."""

import asyncio
import shutil
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from agents.runtime.changelog import ChangelogProducer, recover
from agents.runtime.rows import MAX_RECENT, Row
from agents.runtime.state_store import StateStore
from tests.component.worker_harness import DiedError, WorkerHarness, breathe, header
from topics.catalog import STOCK_CHANGELOG

OLD, NEW = b'"old"', b'"new"'


@pytest.fixture
def store(tmp_path: Path) -> StateStore:
    store = StateStore(tmp_path / "store", "here")
    store.load(0)
    return store


@pytest.fixture
async def changelog(harness: WorkerHarness, store: StateStore) -> ChangelogProducer:
    """An empty changelog of the rows."""
    written = ChangelogProducer(harness.app.batching_producer, STOCK_CHANGELOG, store)
    await written.rewrite_superseded({0})
    return written


def crashed(directory: Path) -> StateStore:
    """Return the store that a crash of this moment would leave."""
    store = StateStore(shutil.copytree(directory / "store", directory / "copy"), "here")
    store.load(0)
    return store


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
    recovered(store, Row(b"a", OLD, 5), Row(b"b", OLD, 5), Row(b"a", None, 6))
    assert dict(store.rows(0)) == {b"b": OLD}
    recovered(store, Row(b"a", NEW, 7))
    assert store.get(0, b"a") == NEW


def test_a_row_is_read_as_it_is_stored_however_many_came_later(store: StateStore):
    keys = [b"%d" % number for number in range(2 * MAX_RECENT)]
    for key in keys:
        recovered(store, Row(key, OLD, 5))
    recovered(store, Row(keys[0], NEW, 6), Row(keys[-1], NEW, 6), Row(keys[-2], None, 6))

    stored = dict(store.rows(0))
    assert {key: store.get(0, key) for key in keys} == {
        key: stored.get(key) for key in keys
    }
    assert len(store.offsets[0].recent) == MAX_RECENT


def test_a_row_that_was_purged_is_gone(store: StateStore):
    recovered(store, Row(b"a", OLD, 5))
    store.purge(0, b"a", b"b")
    assert store.get(0, b"a") is None


def test_a_partition_that_the_changelog_has_lost_loses_its_rows_and_no_others(
    store: StateStore, tmp_path: Path
):
    for partition in (0, 1, 2):
        store.load(partition)
        recover(store, partition, [Row(b"a", NEW, 3)], 1)
    store.drop_partition(1)
    assert [store.get(partition, b"a") for partition in (0, 1, 2)] == [NEW, None, NEW]
    assert store.offsets.keys() == {0, 2}
    assert list(crashed(tmp_path).partitions()) == [0, 2]


async def test_a_zombies_write_is_overwritten_by_the_valid_row(
    harness: WorkerHarness, store: StateStore
):
    recovered(store, Row(b"a", NEW, 9), Row(b"b", NEW, 9), Row(b"a", OLD, 5))
    harness.ends[TopicPartition(STOCK_CHANGELOG.name, 0)] = 3
    writer = ChangelogProducer(harness.app.batching_producer, STOCK_CHANGELOG, store)
    rewriting = asyncio.create_task(writer.rewrite_superseded({0}))
    await breathe()
    assert not rewriting.done()
    assert store.offsets[0].superseded
    await harness.arrive()
    await rewriting
    [again] = harness.sent(STOCK_CHANGELOG.name)
    assert (again.key, again.value) == (b"a", NEW)
    assert header(again, "version") == "9"
    assert not store.offsets[0].superseded
    assert store.offsets[0].stored[:2] == (9, 4)


async def test_another_writer_is_detected_at_the_next_row(
    harness: WorkerHarness,
    store: StateStore,
    changelog: ChangelogProducer,
    deaths: list[str],
):
    changelog.produce(store.put(0, {b"a": OLD}, 1))
    await harness.arrive()
    assert not deaths
    harness.ends[TopicPartition(STOCK_CHANGELOG.name, 0)] += 1  # of the other writer
    changelog.produce(store.put(0, {b"a": NEW}, 2))
    await harness.arrive()
    assert "another writer" in deaths[0]
    assert dict(store.rows(0)) == {b"a": OLD}


async def test_rows_behind_records_that_the_changelog_has_lost_are_dropped(
    harness: WorkerHarness,
    store: StateStore,
    changelog: ChangelogProducer,
    deaths: list[str],
    tmp_path: Path,
):
    changelog.produce(store.put(0, {b"a": OLD}, 1))
    await harness.arrive()
    store.database.flush(wait=True)
    harness.ends[TopicPartition(STOCK_CHANGELOG.name, 0)] -= 1
    changelog.produce(store.put(0, {b"b": NEW}, 2))
    await harness.arrive()
    assert "offset 0 instead of 1" in deaths[0]
    assert not list(crashed(tmp_path).partitions())


async def test_acknowledged_rows_that_cannot_be_stored_end_the_worker(
    harness: WorkerHarness,
    store: StateStore,
    changelog: ChangelogProducer,
    deaths: list[str],
    monkeypatch: pytest.MonkeyPatch,
):
    def fail(_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(store.database, "write", fail)
    changelog.produce(store.put(0, {b"a": NEW}, 1))
    await harness.arrive()
    assert "no space left" in deaths[0]


async def test_rows_of_a_revoked_partition_are_not_sent(
    harness: WorkerHarness,
    store: StateStore,
    changelog: ChangelogProducer,
    deaths: list[str],
):
    write = store.put(0, {b"a": NEW}, 1)
    store.load(0)  # another worker may have had it in between
    with pytest.raises(DiedError):
        changelog.produce(write)
    assert "after its revocation" in deaths[0]
    assert not harness.lying


async def test_rows_that_exceed_a_record_batch_are_not_written_at_all(
    harness: WorkerHarness, store: StateStore, changelog: ChangelogProducer
):
    rows = {b"%d" % number: b"x" * 300_000 for number in range(4)}
    with pytest.raises(ValueError, match="more than one record batch"):
        changelog.produce(store.put(0, rows, 1))
    await breathe()
    assert not harness.lying


async def test_rows_are_stored_when_the_changelog_has_them(
    harness: WorkerHarness, store: StateStore, changelog: ChangelogProducer, tmp_path: Path
):
    changelog.produce(store.put(0, {b"a": OLD}, 6))
    await harness.arrive()
    changelog.produce(store.put(0, {b"a": NEW, b"b": NEW}, 7))
    await breathe()
    assert store.get(0, b"a") == NEW
    store.database.flush(wait=True)
    again = crashed(tmp_path)
    assert dict(again.rows(0)) == {b"a": OLD}
    assert again.offsets[0].stored[:2] == (6, 1)
    await harness.arrive()
    assert dict(store.rows(0)) == {b"a": NEW, b"b": NEW}
    assert store.offsets[0].stored[:2] == (7, 3)


async def test_rows_that_are_acknowledged_after_the_stop_are_left_to_the_next_recovery(
    harness: WorkerHarness,
    store: StateStore,
    changelog: ChangelogProducer,
    deaths: list[str],
    tmp_path: Path,
):
    changelog.produce(store.put(0, {b"a": NEW}, 7))
    await breathe()
    store.close()
    await harness.arrive()
    assert not deaths
    assert not list(crashed(tmp_path).partitions())


def test_torn_files_are_rebuilt(store: StateStore, tmp_path: Path):
    recovered(store, Row(b"a", OLD, 5))
    store.close()
    (tmp_path / "store" / "rows" / "CURRENT").write_bytes(b"torn")
    again = crashed(tmp_path)
    assert again.get(0, b"a") is None
    assert not again.offsets[0].changelog_offset
