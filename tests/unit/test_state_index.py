"""The index of rows, and the marks of deleted ones."""

import time
from pathlib import Path

import pytest

from agents.runtime import layout
from agents.runtime.rows import Row

from .changelog import KEYS, Changelog, P


@pytest.fixture
def changelog(tmp_path: Path) -> Changelog:
    changelog = Changelog(tmp_path / "store")
    changelog.open()
    return changelog


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
