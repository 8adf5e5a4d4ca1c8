"""Which Python runs the shop: the check of its version, and the one that make chooses."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from agents.ops.local.deployment import REPOSITORY
from agents.ops.local.interpreter import NEWEST, OLDEST, unsupported

INTERPRETER = "agents/ops/local/interpreter.py"
NEEDED = "Python 3.11 to 3.14 is needed"
ENTRIES = ["agents.ops.local", "agents.ops.local.environment"]
OLDER = ["python3.10", "python3.9", "python3.8"]
AS_ANOTHER = """
import runpy, sys
sys.version_info, sys.version, sys.executable = ({0}, 1), "{1}.1 (main)", "/a/python"
runpy.run_module("{2}", run_name="__main__")
"""


@pytest.mark.parametrize("minor", [11, 12, 13, 14])
def test_these_versions_are_supported(minor: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "version_info", (3, minor, 0, "final", 0))
    assert unsupported() == ""


def test_pyproject_requires_the_same_versions():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert (OLDEST, NEWEST) == ((3, 11), (3, 14))
    assert project["requires-python"] == ">=3.11,<3.15"


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("version", ["3.10", "3.15"])
def test_any_other_version_ends_with_one_line(entry: str, version: str):
    code = AS_ANOTHER.format(version.replace(".", ", "), version, entry)
    ran = _run(sys.executable, "-c", code)
    assert ran.returncode == 1
    assert ran.stderr == (
        f"{NEEDED}, and /a/python is {version}.1: make PYTHON=/path/to/python3.14 …\n"
    )


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("older", OLDER)
def test_an_older_python_can_read_that_line(older: str, entry: str):
    if shutil.which(older) is None or _run(older, "--version").returncode:
        pytest.skip(f"{older} does not run here")
    ran = _run(older, "-m", entry, "up")
    assert ran.returncode == 1
    assert ran.stderr.startswith(NEEDED)
    assert ran.stderr.count("\n") == 1


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
def test_make_takes_the_first_that_runs_and_is_supported(
    suitable: list[str], unsuitable: list[str], chosen: str, tmp_path: Path
):
    for names, code in ((suitable, 0), (unsuitable, 127)):
        for name in names:
            _put(tmp_path / name, f"#!/bin/sh\nexit {code}\n")
    assert _chosen(tmp_path) == chosen


@pytest.mark.parametrize(("named", "chosen"), [("python9", "python9"), ("", "python3")])
def test_a_python_that_is_named_is_taken(named: str, chosen: str, tmp_path: Path):
    _put(tmp_path / "python3", "#!/bin/sh\n")
    assert _chosen(tmp_path, f"PYTHON={named}") == chosen


def _chosen(there: Path, *words: str) -> str:
    """Return the Python that `make run-all` would start, where PATH is one directory."""
    shutil.copy(REPOSITORY / "Makefile", there)
    (there / INTERPRETER).parent.mkdir(parents=True)
    shutil.copy(REPOSITORY / INTERPRETER, there / INTERPRETER)
    make = shutil.which("make")
    assert make
    command = [make, "-n", "-C", str(there), *words, "run-all"]
    ran = subprocess.run(
        command, env={"PATH": str(there)}, capture_output=True, text=True, check=True
    )
    (line,) = (line for line in ran.stdout.splitlines() if "agents.ops.local" in line)
    return line.partition(" ")[0]


def _put(script: Path, text: str) -> None:
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(text)
    script.chmod(0o755)


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        words,
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
