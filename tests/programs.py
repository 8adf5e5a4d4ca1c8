"""Programs that tests run, and skip without: npm, curl, Maven and others."""

import shutil
import subprocess
from pathlib import Path

import pytest

_NPM_SECONDS = 300.0
_OLDEST_NODE = 20


def need(*names: str) -> None:
    """Skip the test if a program is missing, with the reason."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not installed here: {', '.join(missing)}")


def need_one(*names: str) -> str:
    """Return the path of the first of these programs; skip the test if all are missing."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"not installed here: any of {', '.join(names)}")
    return found


def run(*words: str | Path, within: float, here: Path | None = None) -> str:
    """Run a program with a time limit; return its output.

    Its exit code must be 0.
    """
    ran = subprocess.run(
        [str(word) for word in words],
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
        timeout=within,
    )
    assert ran.returncode == 0, f"{words}:\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


def npm_ci(package: Path, directory: Path) -> Path:
    """Copy an npm package and install the versions of its lock file; return its directory.

    Skips the test if npm is missing or too old.
    """
    need("npm", "node")
    version = run("node", "--version", within=30).strip()
    if int(version.removeprefix("v").partition(".")[0]) < _OLDEST_NODE:
        pytest.skip(f"node {version} is older than {_OLDEST_NODE}")
    there = directory / package.name
    shutil.copytree(package, there, ignore=shutil.ignore_patterns("node_modules"))
    quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline")
    run("npm", "ci", "--silent", *quiet, within=_NPM_SECONDS, here=there)
    return there
