"""Tools on the command line: what they say of themselves, and how they end."""

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
def goods(tmp_path: Path) -> Path:
    """A file with a good line and a bad one."""
    file = tmp_path / "goods.csv"
    file.write_text("sku,warehouseID,count\n1,1,5\n1,1,0\n")
    return file


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--help", "python -m agents dlq list|show|replay"),
        ("dlq --help", "python -m agents dlq replay TOPIC-PARTITION@OFFSET"),
        ("stock load --help", "--skip-bad"),
        ("forget --help", "--cancel"),
        ("status --help", "--metrics"),
        ("audit --help", "--no-questions"),
    ],
)
def test_each_tool_tells_how_it_is_used(words: str, told: str):
    ran = run(*words.split())
    assert ran.returncode == 0
    assert told in ran.stdout


@pytest.mark.parametrize(
    "words",
    [
        "",
        "nobody",
        "dlq",
        "stock load nothing.csv",
        "forget",
        "forget 1",
        "forget --yes nobody",
        "forget --yes true",
        f"forget --yes {2**63}",
    ],
)
def test_wrong_usage_is_told_and_exits_with_2(words: str):
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
    ],
)
def test_whatever_else_makes_no_sense_is_wrong_usage(
    words: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as ended:
        dlq.dlq.main(words.split())
    assert ended.value.code == 2
    assert "Error: " in capsys.readouterr().err


def test_where_nobody_can_be_asked_a_replay_must_be_ordered():
    ran = run("dlq", "replay", "cart.dlq-0@1")
    assert ran.returncode == 2
    assert ran.stderr.startswith("dlq: no terminal to confirm at; --yes confirms")


@pytest.mark.parametrize(
    "words", ["dlq list", "dlq show cart.dlq-0@1", "stock load", "forget -7 --yes"]
)
def test_without_kafka_it_is_said_in_one_line(words: str, goods: Path):
    file = [str(goods), "--skip-bad", "--yes"] if "stock" in words else []
    tool = words.split(maxsplit=1)[0]
    ran = run(*words.split(), *file)
    assert ran.returncode == 1
    *bad, first, line = ran.stderr.splitlines()
    assert len(bad) == len(file) // 3
    assert first == f"{tool}: Kafka at {NOWHERE}, the cluster of KAFKA"
    assert line.startswith(f"{tool}: Kafka at {NOWHERE}: ")
    assert not ran.stdout


def test_settings_that_make_no_sense_are_named(goods: Path):
    ran = run("dlq", "list", PARTITIONS="many")
    assert ran.returncode == 2
    assert ran.stderr.startswith("dlq: event=bad-setting name=partitions")


def test_where_a_line_is_bad_nothing_is_loaded_and_kafka_is_not_asked(goods: Path):
    ran = run("stock", "load", str(goods))
    assert ran.returncode == 1
    assert ran.stderr.splitlines() == [
        "line 3: count: Input should be greater than or equal to 1, not 0",
        "stock: bad lines: 1; nothing was loaded",
    ]
    assert not ran.stdout


def test_a_broker_that_says_nothing_any_more_is_told_in_one_line(
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


def test_a_worker_imports_no_tools():
    code = (
        "import agents.__main__, sys; print([m for m in sys.modules if 'agents.ops' in m])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "[]\n"
