"""The list of users who get no notifications: its format, and its edits."""

import os
from pathlib import Path

import pytest

from agents.notifications.opt_out import OptOut, parse

BIG = 2**63


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "opt-out"


@pytest.mark.parametrize(
    ("text", "users"),
    [
        ("", set()),
        ("1\n2\n", {1, 2}),
        ("\ufeff1\r\n  2\t\r\n\r\n3", {1, 2, 3}),
        ("# requested by phone\n7 # twice\n-7#\n", {7, -7}),
        (f"{-BIG}\n{BIG - 1}\n", {-BIG, BIG - 1}),
        ("007\n7", {7}),
    ],
)
def test_a_list_has_a_user_a_line_and_remarks(path: Path, text: str, users: set[int]):
    path.write_text(text, newline="")
    listed = OptOut(path)
    assert all(user in listed for user in users)
    assert 0 not in listed
    assert parse(text.removeprefix("\ufeff")) == (users, {})


@pytest.mark.parametrize(
    "entry", ["one", "1 2", "1,2", "+1", "1_0", "1.0", "\uff11", "-", str(BIG), "9" * 5000]
)
def test_a_line_that_is_no_user_is_ignored_and_logged_once(path: Path, caplog, entry: str):
    path.write_text(f"5\n{entry}\n6\n")
    listed = OptOut(path)
    [line] = caplog.messages
    assert line.endswith("count=1 lines=2")
    path.write_text(f"5\n\n{entry}\n6\n7\n")
    assert all(user in listed for user in (5, 6, 7))
    assert len(caplog.messages) == 1


def test_of_a_file_that_is_something_else_not_all_lines_are_logged(path: Path, caplog):
    path.write_bytes(b"".join(b"\xff%d: secret\n" % n for n in range(1000)))
    assert 1 not in OptOut(path)
    [line] = caplog.messages
    assert "count=1000 lines=1,2,3," in line
    assert len(line) < 200
    assert "secret" not in line


def test_an_edit_takes_effect_at_once(path: Path):
    path.write_text("1\n")
    listed = OptOut(path)
    path.write_text("1\n22\n")
    assert 22 in listed
    path.write_text("")
    assert 1 not in listed


def test_an_edit_that_leaves_the_size_is_seen_by_its_time(path: Path):
    path.write_text("1\n")
    os.utime(path, (1, 1))
    listed = OptOut(path)
    path.write_text("2\n")
    assert 2 in listed
    assert 1 not in listed


def test_an_edit_within_one_tick_of_the_clock_is_seen(path: Path):
    path.write_text("0\n")
    listed = OptOut(path)
    for _ in range(50):
        for user in (1, 2):
            path.write_text(f"{user}\n")
            assert user in listed
            assert 3 - user not in listed


def test_another_file_of_the_same_name_is_seen(path: Path):
    path.write_text("1\n")
    listed = OptOut(path)
    other = path.with_suffix(".new")
    other.write_text("2\n")
    old = path.stat()
    os.utime(other, ns=(old.st_atime_ns, old.st_mtime_ns))
    other.replace(path)
    assert 2 in listed


def test_while_the_file_is_absent_the_last_list_is_used(path: Path, caplog):
    path.write_text("1\n")
    listed = OptOut(path)
    path.unlink()
    assert 1 in listed
    assert 1 in listed
    assert caplog.text.count("event=opt-out-not-loaded") == 1
    path.write_text("22\n")
    assert 22 in listed
    assert 1 not in listed


def test_a_file_that_is_not_there_at_the_start_is_an_error(path: Path):
    with pytest.raises(OSError, match="No such file"):
        OptOut(path)
