"""Files of rows: foreign, outdated and damaged ones are discarded, or right."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.runtime.rows import Row
from agents.runtime.state_store import StateStore

from .changelog import KEYS, Changelog, P, fold, index, stored


@pytest.fixture
def changelog(tmp_path: Path) -> Changelog:
    changelog = Changelog(tmp_path / "store")
    changelog.open()
    return changelog


@pytest.fixture
def path(changelog: Changelog) -> Path:
    """The files of a worker that was killed."""
    changelog.put({b"key": b"4"}, 7)
    changelog.acknowledge()
    changelog.store.database.flush(wait=False)
    changelog.store.close()
    return changelog.path


def test_rows_of_another_cluster_are_discarded(path: Path):
    store = StateStore(path, "elsewhere")
    assert not list(store.partitions())


def test_files_of_another_format_are_discarded(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("agents.runtime.state_store.FORMAT", 0)
    assert not list(StateStore(path, "here").partitions())
    assert "event=local-state-discarded" in caplog.text


def test_files_of_a_release_without_a_format_are_discarded(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.rmtree(path)
    with monkeypatch.context() as patched:
        patched.setattr("agents.runtime.database.FORMAT_KEY", b"\0\0\0\3key")
        StateStore(path, "here").close()
    (path / "at-rest.json").write_text("{}")
    assert not list(StateStore(path, "here").partitions())
    assert not (path / "at-rest.json").exists()


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
def test_with_a_damaged_file_rows_are_right_or_discarded(
    changelog: Changelog, tmp_path: Path, harm: Callable[[Path], None]
):
    for version in range(8, 12):
        changelog.put({KEYS[version]: b"%d" % version}, version)
        changelog.acknowledge()
        changelog.store.close()  # each life adds to the list of files
        changelog.open()
    changelog.store.close()
    files = [f.name for f in (changelog.path / "rows").iterdir() if f.stat().st_size]
    assert any(name.startswith("MANIFEST") for name in files)
    found = set()
    for name in files:
        copy = shutil.copytree(changelog.path, tmp_path / name / "store")
        harm(copy / "rows" / name)
        prefix = _prefix_or_damage(copy, changelog.records)
        found.add(prefix)
        if prefix is None:  # it ended the worker; the next one discards the files
            assert (copy / "damaged").exists()
            assert _prefix_or_damage(copy, changelog.records) == 0
    assert {0, len(changelog.records)} <= found


def _prefix_or_damage(path: Path, records: list[Row]) -> int | None:
    """Return up to where a store is right; None if RocksDB raises."""
    store = StateStore(path, "here", index)
    try:
        found = stored(store)
        prefix = store.offsets[P].stored.changelog_offset
    except Exception:  # noqa: BLE001 -- rocksdict raises nothing better
        return None
    else:
        assert found == fold(records[:prefix])
        return prefix
    finally:
        store.close()


@pytest.fixture
def damaged(changelog: Changelog) -> StateStore:
    """Many rows, with zeros in the middle of their file."""
    rows = [Row(b"%06d" % n, b"%d" % n**4, 1) for n in range(50_000)]
    changelog.records += rows
    changelog.recover()
    changelog.store.close()
    file = max((changelog.path / "rows").glob("*.sst"), key=lambda f: f.stat().st_size)
    whole = file.read_bytes()
    middle = len(whole) // 2
    file.write_bytes(whole[:middle] + bytes(9000) + whole[middle + 9000 :])
    return StateStore(changelog.path, "here", index)


def _list(store: StateStore) -> None:
    list(store.rows(P))


def _get(store: StateStore) -> None:
    for n in range(50_000):
        store.get(P, b"%06d" % n)


@pytest.mark.parametrize("read", [_list, _get], ids=["rows", "get"])
def test_damage_that_is_found_while_reading_discards_the_files_at_the_next_start(
    damaged: StateStore, changelog: Changelog, read: Callable[[StateStore], None]
):
    with pytest.raises(Exception, match="Corruption"):
        read(damaged)
    damaged.close()
    again = StateStore(changelog.path, "here", index)
    assert not list(again.partitions())
    again.close()
