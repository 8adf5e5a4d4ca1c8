"""Rows on disk: whatever happens, they are the fold of a prefix of their changelog."""

import random
import shutil
import time
from pathlib import Path

import pytest

from agents.runtime import layout
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


def test_an_index_entry_comes_once_and_again_with_its_row(changelog: Changelog):
    store = changelog.store

    def put(key: bytes, value: bytes) -> None:
        changelog.put({key: value}, 1)
        changelog.acknowledge()

    def due(last: bytes) -> list[bytes]:
        return [e for e in store.due(P, last) if store.is_current(P, e)]

    for key, value in (b"c", b"40"), (b"b", b"20"), (b"a", b"20"), (b"x", b"31"):
        put(key, value)
    put(b"d", b"80")
    assert due(b"1") == []
    assert due(b"4") == [b"2/a", b"2/b", b"4/c"]
    assert due(b"7") == []
    put(b"b", b"21")
    put(b"a", b"24")
    put(b"e", b"60")
    put(b"f", b"10")
    assert due(b"7") == [b"1/f", b"2/a", b"4/c", b"6/e"]
    assert due(b"8") == [b"8/d"]
    assert due(b"9") == []
    store.load(P)
    assert due(b"9") == [b"1/f", b"2/a", b"4/c", b"6/e", b"8/d"]


def test_an_entry_lives_as_long_as_its_stored_row_is_in_the_index(changelog: Changelog):
    changelog.put({b"a": b"20"}, 1)
    changelog.put({b"a": b"21"}, 2)
    changelog.acknowledge()
    [entry] = changelog.store.due(P, b"9")
    assert changelog.store.is_current(P, entry)  # the change is not stored yet
    changelog.acknowledge()
    assert not changelog.store.is_current(P, entry)
    changelog.store.load(P)
    assert not list(changelog.store.due(P, b"9"))


def test_an_entry_of_a_deleted_row_does_not_count(changelog: Changelog):
    for value in (b"20", None):
        changelog.put({b"a": value}, 1)
        changelog.acknowledge()
    assert not [e for e in changelog.store.due(P, b"9") if changelog.store.is_current(P, e)]


def _keys(changelog: Changelog) -> int:
    """Count all stored keys of the partition, but for its progress."""
    keys = changelog.store.database.scan(*layout.key_range(P, layout.INDEX, None))
    return sum(1 for _ in keys)


def test_marks_of_deleted_rows_are_dropped_when_they_are_a_day_old(
    changelog: Changelog, monkeypatch: pytest.MonkeyPatch
):
    store, began = changelog.store, time.time()
    for hour, row in enumerate((b"1", None, b"1", None)):  # deleted at one and at three
        monkeypatch.setattr(time, "time", lambda hour=hour: began + hour * 3600)
        changelog.put({b"1": row, b"3": b"3"}, hour + 5)
        changelog.acknowledge()
    assert store.row(P, b"1") == Row(b"1", None, 8)
    dropped = [store.drop_marks(P, began + hour * 3600 + 1, 9) for hour in (0, 1, 2)]
    assert dropped == [0, 1, 0]
    assert store.row(P, b"1") == Row(b"1", None, 8)  # its mark is younger
    assert store.drop_marks(P, began + 3 * 3600 + 1, 9) == 1
    assert store.row(P, b"1") == Row(b"1", None, 0)
    assert _keys(changelog) == 1


def test_marks_are_dropped_in_steps(changelog: Changelog):
    changelog.put(dict.fromkeys(KEYS), 5)
    changelog.acknowledge()
    later = time.time() + 2
    assert [changelog.store.drop_marks(P, later, 5) for _ in range(4)] == [5, 5, 2, 0]
    assert _keys(changelog) == 0


def test_a_mark_of_a_row_that_was_written_again_is_dropped_and_the_row_stays(
    changelog: Changelog,
):
    for row in (None, b"1"):
        changelog.put({b"1": row}, 5)
        changelog.acknowledge()
    assert changelog.store.drop_marks(P, time.time() + 2, 5) == 1
    assert changelog.store.get(P, b"1") == b"1"


def test_index_entries_that_are_not_current_can_be_dropped(changelog: Changelog):
    changelog.put({b"2": b"2", b"4": b"4"}, 5)
    changelog.acknowledge()
    changelog.store.drop_entries(P, [b"2/2"])
    assert list(changelog.store.due(P, b"~")) == [b"4/4"]


def test_entries_in_front_of_a_value_do_not_include_marks(changelog: Changelog):
    changelog.put({b"1": None}, 5)
    changelog.acknowledge()
    assert list(changelog.store.due(P, b"~")) == []
