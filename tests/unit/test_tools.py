"""Tools on the command line: help, wrong usage, errors and exit codes."""

import asyncio
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from agents.ops import dlq
from topics import cli
from topics.target import Target

NOWHERE = "127.0.0.1:1"


def run(*words: str, **different: str) -> subprocess.CompletedProcess[str]:
    """Run a tool where there is no Kafka."""
    return subprocess.run(
        [sys.executable, "-m", "agents", *words],
        env=os.environ | {"KAFKA": NOWHERE} | different,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def stock_file(tmp_path: Path) -> Path:
    """A file with a good line and a bad one."""
    file = tmp_path / "goods.csv"
    file.write_text("sku,warehouseID,count\n1,1,5\n1,1,0\n")
    return file


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--help", "dlq            Show dead letters, and replay them.\n"),
        ("dlq --help", "python -m agents dlq replay TOPIC-PARTITION@OFFSET"),
        ("stock load --help", "--skip-bad"),
        ("forget --help", "--cancel"),
        ("status --help", "--metrics"),
        ("audit --help", "--no-questions"),
    ],
)
def test_each_tool_has_a_help_text(words: str, expected: str):
    ran = run(*words.split())
    assert ran.returncode == 0
    assert expected in ran.stdout


@pytest.mark.parametrize(
    "words",
    [
        "",
        "nothing",
        "dlq",
        "stock load nothing.csv",
        "forget",
        "forget 1",
        "forget --yes nothing",
        "forget --yes true",
        f"forget --yes {2**63}",
    ],
)
def test_wrong_usage_has_a_reason_and_exits_with_2(words: str):
    ran = run(*words.split())
    assert ran.returncode == 2, ran
    assert ran.stderr
    assert "Traceback" not in ran.stderr
    assert not ran.stdout


@pytest.mark.parametrize(
    "words",
    [
        "list nothing.dlq",
        "list --last 0",
        "list --last many",
        "show",
        "show cart.dlq-0",
        "show cart.requests-0@1",
        "replay",
        "replay --yes cart.dlq-0@1 --replies cart.requests",
        "replay --yes cart.dlq-0@1 --patience inf",
        "replay --yes cart.dlq-0@1 --patience nan",
        "replay --yes cart.dlq-0@1 --patience 0",
    ],
)
def test_an_invalid_parameter_is_wrong_usage(
    words: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as ended:
        dlq.dlq.main(words.split())
    assert ended.value.code == 2
    assert "Error: " in capsys.readouterr().err


def test_without_a_terminal_a_replay_needs_yes():
    ran = run("dlq", "replay", "cart.dlq-0@1")
    assert ran.returncode == 2
    assert ran.stderr.startswith("dlq: no terminal to confirm at; --yes confirms")


@pytest.mark.parametrize(
    "words", ["dlq list", "dlq show cart.dlq-0@1", "stock load", "forget -7 --yes"]
)
def test_without_kafka_the_error_has_one_line(words: str, stock_file: Path):
    file = [str(stock_file), "--skip-bad", "--yes"] if "stock" in words else []
    tool = words.split(maxsplit=1)[0]
    ran = run(*words.split(), *file)
    assert ran.returncode == 1
    *bad, first, line = ran.stderr.splitlines()
    assert len(bad) == len(file) // 3
    assert first == f"{tool}: Kafka at {NOWHERE}, the cluster of KAFKA"
    assert line.startswith(f"{tool}: Kafka at {NOWHERE}: ")
    assert not ran.stdout


def test_invalid_settings_are_named(stock_file: Path):
    ran = run("dlq", "list", PARTITIONS="many")
    assert ran.returncode == 2
    assert ran.stderr.startswith("dlq: event=bad-setting name=partitions")


def test_a_bad_line_ends_the_load_before_kafka_is_reached(stock_file: Path):
    ran = run("stock", "load", str(stock_file))
    assert ran.returncode == 1
    assert ran.stderr.splitlines() == [
        'line 3: count must be at least 1, in {"sku": 1, "warehouseID": 1, "count": 0}',
        "stock: bad lines: 1; nothing was loaded",
    ]
    assert not ran.stdout


def test_a_silent_broker_is_an_error_of_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("KAFKA", NOWHERE)

    def disconnect(_: Target) -> int:
        raise asyncio.CancelledError

    assert cli.run(Target("dlq"), disconnect) == 1
    assert capsys.readouterr().err.endswith(" does not answer any more\n")


@pytest.mark.parametrize(
    ("typed", "ends_with"), [(EOFError, None), (KeyboardInterrupt, KeyboardInterrupt)]
)
def test_an_interrupted_confirmation_is_no_refusal(
    typed: type[BaseException],
    ends_with: type[BaseException] | None,
    monkeypatch: pytest.MonkeyPatch,
):
    def prompt(_: str) -> str:
        raise typed

    monkeypatch.setattr("click.termui.visible_prompt_func", prompt)
    with pytest.raises(ends_with) if ends_with else nullcontext():
        assert not cli.confirm("Sure?")


def test_an_error_may_have_several_lines(capsys: pytest.CaptureFixture[str]):
    def fail(_: Target) -> int:
        raise cli.CommandError("first", "second")

    assert cli.run(Target("dlq"), fail) == 1
    assert capsys.readouterr().err == "dlq: first\ndlq: second\n"


def test_columns_of_a_table_are_aligned():
    rows = [("NAME", "COUNT"), ("a", "10"), ("longer", "")]
    assert list(cli.table(rows, "<>")) == ["NAME    COUNT", "a          10", "longer"]
    assert list(cli.table([], "<>")) == []


def test_a_worker_imports_no_tools():
    code = (
        "import agents.__main__, sys; print([m for m in sys.modules if 'agents.ops' in m])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "[]\n"
