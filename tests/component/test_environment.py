"""make's virtual environment: its Python, and the errors of those that can't make it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agents.ops.local.deployment import REPOSITORY

OURS = f"{sys.version_info[0]}.{sys.version_info[1]}"
OTHER = "3.11" if OURS != "3.11" else "3.12"
FILES = ("Makefile", "pyproject.toml", ".ci/constraints.txt")
SHOWS_VERSION = "import sys; print(*sys.version_info[:2], sep='.')"

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="no make")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository whose environment was made by another Python."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / name, tmp_path / name)
    put(tmp_path / ".venv" / "bin" / "python", f"echo {OTHER}")
    (tmp_path / ".venv" / ".base").touch()
    return tmp_path


def put(script: Path, text: str) -> None:
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)


def make(clone: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "-s", "-C", clone, *words],
        env={"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_another_python_makes_a_new_environment(clone: Path):
    ran = make(clone, ".venv/.base", f"PYTHON={sys.executable}")
    # No package can be installed without an index; but the environment is there.
    assert "packages can't be installed (is there a network?)" in ran.stderr
    assert not (clone / ".venv" / ".base").exists()
    python = clone / ".venv" / "bin" / "python"
    shown = subprocess.run([python, "-c", SHOWS_VERSION], capture_output=True, check=True)
    assert shown.stdout.decode().strip() == OURS


def test_an_environment_that_is_up_to_date_stays(clone: Path):
    ran = make(clone, ".venv/.base")
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_environment_stays_while_a_shop_runs_on_it(clone: Path):
    (clone / ".run").mkdir()
    (clone / ".run" / "shop.json").touch()
    ran = make(clone, ".venv/.base", f"PYTHON={sys.executable}")
    assert ran.returncode
    assert ran.stderr.startswith(
        f"the shop runs on Python {OTHER}, and this is {OURS}:"
        " run make down without PYTHON=… first\n"
    )
    assert (clone / ".venv" / "bin" / "python").read_text().startswith("#!/bin/sh")


def test_an_environment_without_pip_is_an_error_that_names_the_debian_package(clone: Path):
    put(clone / "ensurepip" / "__main__.py", "")
    (clone / "ensurepip" / "__init__.py").touch()
    (clone / "ensurepip" / "__main__.py").write_text("raise SystemExit('no wheels')")
    ran = make(clone, ".venv/.base", f"PYTHON={sys.executable}")
    assert ran.returncode
    assert "no wheels\n.venv has no pip (Debian: apt install python3-venv)\n" in ran.stderr


@pytest.mark.parametrize("target", ["run-all", "test"])
@pytest.mark.parametrize("version", ["3.10.13", "3.15.0"])
def test_an_unsupported_python_is_an_error(clone: Path, version: str, target: str):
    python = clone / "python"
    put(python, f"[ $1 = --version ] && echo Python {version}; exit 1")
    ran = make(clone, target, f"PYTHON={python}")
    assert ran.returncode
    assert ran.stderr.startswith(
        f"Python 3.11 to 3.14 is needed, and {python} is Python {version}:"
        " make PYTHON=/path/to/python3.14 …\n"
    )


def test_a_machine_without_python_is_an_error(clone: Path):
    ran = make(clone, "run-all", "PYTHON=absent")
    assert ran.returncode
    assert ran.stderr.startswith("Python 3.11 to 3.14 is needed, and absent is ")
