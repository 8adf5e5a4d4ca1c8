"""The files of a checkpoint: they are whole, or refused."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agents.ops.audit.checkpoint_files import load, newest, save
from topics.catalog import STOCK_REQUESTS
from topics.cli import CommandError

from .audits import Audit, shopping

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save(tmp_path, Audit(shopping(2, 40)[0]).checkpoint, NOON)


def test_the_newest_checkpoint_of_a_directory_is_taken(saved: Path):
    earlier = replace(load(saved), sent=())
    save(saved.parent, earlier, NOON.replace(year=2025))
    assert newest(saved.parent) == newest(saved) == saved


def test_a_directory_without_a_checkpoint_is_named(tmp_path: Path):
    with pytest.raises(CommandError, match=f"no checkpoint in {tmp_path}"):
        newest(tmp_path)


@pytest.mark.parametrize(
    "name", ["manifest.json", "sent.jsonl.gz", f"{STOCK_REQUESTS.name}-0.jsonl.gz"]
)
@pytest.mark.parametrize("damage", ["changed", "lost", "unlisted"])
def test_a_damaged_file_is_refused(saved: Path, name: str, damage: str):
    file, sums = saved / name, saved / "SHA256SUMS"
    match damage:
        case "changed":
            content = file.read_bytes()
            file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "lost":
            file.unlink()
        case "unlisted":
            lines = sums.read_text().splitlines(keepends=True)
            sums.write_text("".join(line for line in lines if name not in line))

    with pytest.raises(CommandError, match=f"{file} is missing, or is not the file"):
        load(saved)


def test_another_format_is_refused(saved: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("agents.ops.audit.checkpoint_files.FORMAT", 2)
    with pytest.raises(CommandError, match="format 1 instead of 2"):
        load(saved)


def test_an_interrupted_write_leaves_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(_: Path) -> None:
        raise OSError("no space left")

    checkpoint = Audit(shopping(2, 40)[0]).checkpoint
    monkeypatch.setattr("agents.ops.audit.checkpoint_files._sync", fail)
    with pytest.raises(OSError, match="no space left"):
        save(tmp_path, checkpoint, NOON)
    assert list(tmp_path.iterdir()) == []
