"""Rows on disk: when they are trusted, and when the changelog is read anew."""

from pathlib import Path

import pytest

from agents.store import Store

ROWS = {b"key": b'{"count":1}'}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a worker that ended well has left its rows, all of them in the changelog."""
    store = Store(tmp_path / "rows", "here")
    store.put(3, ROWS, version=7)
    store.unacknowledged -= 1
    store.close()
    return tmp_path / "rows"


def test_rows_of_a_worker_that_ended_well_are_there_again(path: Path):
    store = Store(path, "here")
    assert dict(store.rows(3)) == ROWS
    assert store.progress[3].version == 7


def test_rows_of_another_cluster_are_thrown_away(path: Path):
    store = Store(path, "elsewhere")
    assert not list(store.rows(3))
    assert not store.progress


def test_rows_of_a_worker_that_crashed_are_thrown_away(path: Path):
    Store(path, "here")._db.close()  # noqa: SLF001 -- no clean end
    store = Store(path, "here")
    assert not list(store.rows(3))
    assert not store.progress


def test_rows_that_the_changelog_may_lack_are_thrown_away(path: Path):
    store = Store(path, "here")
    store.put(3, {b"key": b'{"count":2}'}, version=8)
    store.close()
    assert not list(Store(path, "here").rows(3))


def test_what_another_version_of_the_shop_left_behind_is_thrown_away(path: Path):
    (path / "complete.json").write_text('{"3": [7, 1]}')
    assert not list(Store(path, "here").rows(3))
