"""Rows on disk: when they are used, and when they are rebuilt from the changelog."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.runtime.state_store import CHECKPOINT, StateStore

ROWS = {b"key": b'{"count":1}'}
CORRUPT = "corrupt"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The rows of a worker that stopped cleanly, all of them in the changelog."""
    store = StateStore(tmp_path / "rows", "here")
    store.put(3, ROWS, source_offset=7)
    store.pending_acks -= 1
    store.close()
    return tmp_path / "rows"


def test_rows_of_a_worker_that_stopped_cleanly_are_used_again(path: Path):
    store = StateStore(path, "here")
    assert dict(store.rows(3)) == ROWS
    assert store.offsets[3].source_offset == 7


def test_rows_of_another_cluster_are_discarded(path: Path):
    store = StateStore(path, "elsewhere")
    assert not list(store.rows(3))
    assert not store.offsets


def test_rows_of_a_worker_that_crashed_are_discarded(path: Path):
    StateStore(path, "here")._db.close()  # noqa: SLF001 -- no clean end
    store = StateStore(path, "here")
    assert not list(store.rows(3))
    assert not store.offsets


def test_rows_that_the_changelog_may_lack_are_discarded(path: Path):
    store = StateStore(path, "here")
    store.put(3, {b"key": b'{"count":2}'}, source_offset=8)
    store.close()
    assert not list(StateStore(path, "here").rows(3))


def test_files_of_another_version_are_discarded(path: Path):
    (path / CHECKPOINT).write_text('{"3": [7, 1]}')
    assert not list(StateStore(path, "here").rows(3))


@pytest.mark.parametrize("hours", [-1, 13])
def test_rows_behind_an_old_checkpoint_are_discarded(path: Path, hours: int):
    marked = json.loads((path / CHECKPOINT).read_text())
    marked["at"] -= hours * 3600
    (path / CHECKPOINT).write_text(json.dumps(marked))
    assert not list(StateStore(path, "here").rows(3))


def cut(file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) * 6 // 10])


def zero(file: Path) -> None:
    """As after a loss of power: its length was kept, and its end was not."""
    whole = file.read_bytes()
    kept = len(whole) * 6 // 10
    file.write_bytes(whole[:kept] + bytes(len(whole) - kept))


def remove(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("harm", [cut, zero, remove], ids=lambda harm: harm.__name__)
def test_a_damaged_file_loses_all_rows_or_none(
    path: Path, tmp_path: Path, harm: Callable[[Path], None]
):
    for version in range(8, 12):  # each life adds to the list of files
        store = StateStore(path, "here")
        store.put(3, {b"key-%d" % version: b"{}"}, version)
        store.pending_acks -= 1
        store.close()
    files = [f.name for f in sorted((path / "rows").iterdir()) if f.stat().st_size]
    assert any(name.startswith("MANIFEST") for name in files)
    found = set()
    for name in files:
        copy = tmp_path / name
        shutil.copytree(path, copy)
        harm(copy / "rows" / name)
        store = StateStore(copy, "here")
        used = bool(store.offsets)
        found.add(used)
        assert _count(store) in ({5, CORRUPT} if used else {0}), name
    assert found == {True, False}


def _count(store: StateStore) -> int | str:
    try:
        return len(list(store.rows(3)))
    except Exception:  # noqa: BLE001 -- rocksdict raises nothing better
        return CORRUPT  # it ends the worker, and the next one discards the files
