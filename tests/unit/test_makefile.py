"""The Makefile passes settings on as they are given, and chooses a supported Python."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ODD = "https://hook.test/a%2Fb?sig=a%2Fb%3D&x=$HOME$$(HOME)${HOME}#$@ 'y' \"z\" \\ é"

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="no make")


@pytest.mark.parametrize("on", ["the command line", "the environment"])
def test_make_passes_settings_on_byte_for_byte(on: str):
    words = ["make", "-s", "--eval", "show: ; @printenv WEBHOOK_URL", "show"]
    environment = os.environ | {"WEBHOOK_URL": ODD}
    if on == "the command line":
        words.append(f"WEBHOOK_URL={ODD}")
        environment["WEBHOOK_URL"] = "another"
    ran = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, check=True)
    assert ran.stdout == f"{ODD}\n".encode()


def test_make_still_takes_options_of_several_words():
    words = ["make", "-n", "fuzz", "FUZZ=--records 5 --seed 7"]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "-m tests.fuzz --records 5 --seed 7\n" in ran.stdout


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ([], "-m tests.benchmarks"),
        (
            ["PEER=streams", "BENCH=--rounds 1"],
            "-m tests.benchmarks --peer streams --rounds 1",
        ),
    ],
)
def test_make_bench_names_a_peer_only_if_asked(words: list[str], command: str):
    printed = subprocess.run(
        ["make", "-n", "bench", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    # make prints the directories that it enters and leaves, if another make has called it.
    assert command in [line.partition(" ")[2].strip() for line in printed.splitlines()]


@pytest.mark.parametrize(
    ("suitable", "unsuitable", "chosen"),
    [
        (["python3", "python3.12", "python3.14"], [], "python3"),
        (["python3.12", "python3.14"], ["python3"], "python3.14"),
        (["python3.11"], ["python3", "python3.13"], "python3.11"),
        ([".venv/bin/python", "python3"], [], ".venv/bin/python"),
        (["python3"], [".venv/bin/python"], "python3"),
        ([], ["python3"], "python3"),
    ],
)
def test_make_takes_the_first_python_that_runs_and_is_supported(
    suitable: list[str], unsuitable: list[str], chosen: str, tmp_path: Path
):
    for name in suitable:
        _put(tmp_path / name, "echo 3.13")
    for name in unsuitable:
        _put(tmp_path / name, "exit 127")
    assert _chosen(tmp_path) == chosen


@pytest.mark.parametrize(("named", "chosen"), [("python9", "python9"), ("", "python3")])
def test_make_takes_the_python_that_is_named(named: str, chosen: str, tmp_path: Path):
    _put(tmp_path / "python3", "echo 3.13")
    assert _chosen(tmp_path, f"PYTHON={named}") == chosen


@pytest.mark.parametrize("minor", range(10, 16))
def test_make_supports_the_versions_of_pyproject(minor: int, tmp_path: Path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11,<3.15"
    other = f"import sys; sys.version_info = (3, {minor}, 1); exec(sys.argv[1])"
    _put(tmp_path / "python3.14", f"exec {sys.executable} -c '{other}' \"$2\"")
    assert _chosen(tmp_path) == ("python3.14" if 11 <= minor <= 14 else "python3")


def _chosen(there: Path, *words: str) -> str:
    """Return the Python that makes the environment, where PATH is one directory."""
    shutil.copy(ROOT / "Makefile", there)
    (there / "pyproject.toml").touch()
    (there / ".ci").mkdir()
    (there / ".ci" / "constraints.txt").touch()
    command = [shutil.which("make"), "-n", "-C", str(there), *words, "run-all"]
    ran = subprocess.run(
        command, env={"PATH": str(there)}, capture_output=True, text=True, check=True
    )
    (line,) = (line for line in ran.stdout.splitlines() if "-m venv" in line)
    return line.strip().partition(" ")[0]


def _put(script: Path, text: str) -> None:
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
