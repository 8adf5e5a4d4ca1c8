"""Rows on disk: whatever happens, they are the fold of a prefix of their changelog."""

import random
import shutil
import time
from pathlib import Path

import pytest

from agents.runtime.changelog import recover
from agents.runtime.rows import Progress, Row
from agents.runtime.state_store import MAX_AGE

from .changelog import KEYS, Changelog, P, fold, stored


@pytest.fixture
def changelog(tmp_path: Path) -> Changelog:
    changelog = Changelog(tmp_path / "store")
    changelog.open()
    return changelog


@pytest.mark.parametrize("seed", range(8))
def test_at_any_instant_the_files_are_the_fold_of_a_prefix(tmp_path: Path, seed: int):
    rng, source_offset = random.Random(seed), 0
    changelog = Changelog(tmp_path / "store")
    changelog.open()
    prefixes = set()
    for step in range(80):
        match rng.choice("ppppaaaaaffzrcd"):
            case "p":
                source_offset += 1
                keys = rng.sample(KEYS, rng.randint(1, 4))
                rows = {key: key + b"%d" % step for key in keys}
                rows[rng.choice(keys)] = None
                changelog.put(rows, source_offset)
            case "a" if changelog.in_flight:
                changelog.acknowledge()
            case "f":
                changelog.store.database.flush(wait=True)
            case "z" if not changelog.in_flight and source_offset > 2:  # then recovers
                changelog.records.append(
                    Row(key := rng.choice(KEYS), key + b"0", source_offset - 2)
                )
                changelog.store.load(P)
                changelog.recover()
            case "r":  # unacknowledged rows are lost, and their records come again
                changelog.in_flight.clear()
                changelog.store.load(P)
                changelog.recover()
            case "d" if rng.random() < 0.3:
                changelog.in_flight.clear()
                changelog.store.drop_partition(P)
                changelog.store.load(P)
                changelog.recover()
            case "c":
                changelog.in_flight.clear()
                changelog.store.close()
                changelog.open()
                changelog.recover()
        if step % 8 == 0:
            prefixes.add(_check_crash(changelog, tmp_path / f"{step}"))
    assert len(prefixes) > 2


def _check_crash(changelog: Changelog, copy: Path) -> int:
    """Crash now: compare what is found with the fold of its prefix; return the prefix."""
    while not copy.exists():
        try:
            shutil.copytree(changelog.path, copy)
        except shutil.Error:  # a compaction has just removed a file
            shutil.rmtree(copy)
    crashed = Changelog(copy, changelog.records)
    crashed.open()
    prefix = crashed.store.offsets[P].stored.changelog_offset
    assert prefix <= len(changelog.records)
    assert stored(crashed.store) == fold(changelog.records[:prefix])
    crashed.recover()
    assert stored(crashed.store) == fold(changelog.records)
    crashed.store.close()
    return prefix


def test_a_row_is_read_before_it_is_acknowledged_and_not_stored(changelog: Changelog):
    store = changelog.store
    changelog.put({b"a": b"1", b"b": b"1"}, 5)
    changelog.acknowledge()
    changelog.put({b"a": b"2", b"b": None}, 6)
    assert (store.get(P, b"a"), store.get(P, b"b")) == (b"2", None)
    assert dict(store.rows(P)) == {b"a": b"1", b"b": b"1"}
    changelog.put({b"a": b"3"}, 7)
    changelog.acknowledge()
    assert (store.get(P, b"a"), store.get(P, b"b")) == (b"3", None)
    assert dict(store.rows(P)) == {b"a": b"2"}
    assert store.offsets[P].source_offset == 7
    assert store.offsets[P].stored.source_offset == 6
    changelog.acknowledge()
    assert store.get(P, b"a") == b"3"
    assert not store.offsets[P].unacknowledged


def test_a_late_acknowledgement_of_an_assignment_that_ended_stores_nothing(
    changelog: Changelog,
):
    store = changelog.store
    changelog.put({b"a": b"1"}, 5)
    store.load(P)
    changelog.acknowledge()
    assert not dict(store.rows(P))
    assert store.offsets[P].stored.changelog_offset == 0


def test_rows_acknowledged_out_of_order_are_not_stored(changelog: Changelog):
    changelog.put({b"a": b"1"}, 5)
    changelog.put({b"b": b"1"}, 6)
    with pytest.raises(ValueError, match="out of order"):
        changelog.store.commit(changelog.in_flight[1], 2, time.time())
    assert not dict(changelog.store.rows(P))


def test_a_partition_that_returns_is_read_from_where_it_was_released(
    changelog: Changelog,
):
    store = changelog.store
    changelog.put({b"a": b"1"}, 5)
    changelog.acknowledge()
    store.release(P)
    assert P not in store.offsets
    assert list(store.partitions()) == [P]
    store.load(P)
    assert store.offsets[P].changelog_offset == 1
    assert store.get(P, b"a") == b"1"


def test_rows_that_a_zombie_superseded_are_still_superseded_after_a_crash(
    changelog: Changelog, tmp_path: Path
):
    changelog.records += [Row(b"a", b"9", 9), Row(b"a", b"5", 5)]
    changelog.recover()
    changelog.store.database.flush(wait=False)
    changelog.store.close()
    changelog.open()
    offsets = changelog.store.offsets[P]
    assert offsets.changelog_offset == 2
    assert offsets.superseded == {b"a": Row(b"a", b"9", 9)}
    changelog.put({b"a": b"9"}, 9)
    changelog.acknowledge()
    changelog.store.load(P)
    assert not changelog.store.offsets[P].superseded


@pytest.mark.parametrize("age", [MAX_AGE.total_seconds() + 60, -60.0])
def test_rows_that_are_too_old_or_from_the_future_are_dropped(
    changelog: Changelog, age: float
):
    store = changelog.store
    store.store(P, [Row(b"a", b"1", 5)], Progress(5, 1, time.time() - age))
    store.load(P)
    assert not dict(store.rows(P))
    assert store.offsets[P].changelog_offset == 0
    assert not list(store.partitions())


def test_rows_are_young_while_the_changelog_has_nothing_behind_them(changelog: Changelog):
    store = changelog.store
    now, old = time.time(), time.time() - 3600
    store.store(P, (), Progress(5, 1, old))
    store.confirm(P, 2, now)  # another worker has written
    assert store.offsets[P].stored.at == old
    store.confirm(P, 1, now)
    store.load(P)
    assert store.offsets[P].stored == Progress(5, 1, now)
    store.release(P)
    store.confirm(P, 1, now)
    assert P not in store.offsets


def test_recovery_makes_rows_no_younger_before_its_end(changelog: Changelog):
    """The record of a deletion may be among those that were not read yet."""
    store, old = changelog.store, time.time() - 3600
    store.store(P, [Row(b"a", b"1", 5)], Progress(5, 1, old))
    recover(store, P, [Row(b"b", b"1", 6)], 2)
    assert store.offsets[P].stored == Progress(6, 2, old)
