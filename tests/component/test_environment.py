"""The virtual environment follows the Python that was named, but not under a shop."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agents.ops.local.deployment import REPOSITORY

OURS = f"{sys.version_info[0]}.{sys.version_info[1]}"
OTHER = "3.11" if OURS != "3.11" else "3.12"
FILES = (
    *("agents/__init__.py", "agents/ops/__init__.py", "pyproject.toml"),
    *("topics/__init__.py", "topics/running_shop.py", ".ci/constraints.txt"),
)
NEEDED = ("__init__", "environment", "interpreter", "deployment")
SHOWS_VERSION = "import sys; print(*sys.version_info[:2], sep='.')"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository whose environment was made by another Python."""
    for name in FILES:
        _copy(name, tmp_path)
    for name in NEEDED:
        _copy(f"agents/ops/local/{name}.py", tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\necho {OTHER}\n")
    python.chmod(0o755)
    return tmp_path


def test_another_python_makes_it_anew(clone: Path):
    ran = _make_environment(clone)
    # No package can come from nowhere; but the environment is there.
    assert "packages can't be installed" in ran.stderr
    python = clone / ".venv" / "bin" / "python"
    shown = subprocess.run([python, "-c", SHOWS_VERSION], capture_output=True, check=True)
    assert shown.stdout.decode().strip() == OURS


def test_it_stays_while_a_shop_runs_on_it(clone: Path):
    (clone / ".run").mkdir()
    (clone / ".run" / "shop.json").write_text(json.dumps({"shop": {}, "given": {}}))
    ran = _make_environment(clone)
    assert ran.returncode == 1
    assert ran.stderr == (
        f"environment: the shop runs on Python {OTHER}, and this is {OURS}:"
        " run make down without PYTHON=… first\n"
    )
    assert (clone / ".venv" / "bin" / "python").read_text().startswith("#!/bin/sh")


def test_a_python_without_pip_is_named_with_the_package_that_has_it(clone: Path):
    (clone / "ensurepip").mkdir()
    (clone / "ensurepip" / "__init__.py").touch()
    (clone / "ensurepip" / "__main__.py").write_text("raise SystemExit('no wheels')")
    ran = _make_environment(clone)
    assert ran.returncode == 1
    assert ran.stderr == (
        f"environment: {clone}/.venv has no pip (Debian: apt install python3-venv):"
        " no wheels\n"
    )


def _copy(name: str, there: Path) -> None:
    (there / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(REPOSITORY / name, there / name)


def _make_environment(clone: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agents.ops.local.environment"],
        cwd=clone,
        env={"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        check=False,
    )
