"""The virtual environment, made and kept up to date without being asked.

    python -m agents.ops.local.environment [dev,check]

Needs Python alone. The environment is made anew for another version of Python.
"""

import fcntl
import hashlib
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from agents.ops.local.deployment import REPOSITORY, ShopError, from_environment, load

VENV = REPOSITORY / ".venv"
PYTHON = VENV / "bin" / "python"

_OURS = "{}.{}".format(*sys.version_info)
_CONSTRAINTS = REPOSITORY / ".ci" / "constraints.txt"
_RECIPE = (REPOSITORY / "pyproject.toml", _CONSTRAINTS)
_NEWER_PIP = "pip==26.3"
_PIP = ("-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input")


def ensure(extra: str = "") -> Path:
    """Return the environment's Python, creating or updating the environment first.

    Args:
        extra: which optional packages are wanted too, such as "dev,check".

    Raises:
        ShopError: packages can't be installed, or the shop runs on another version of
            Python.
    """
    with file_lock(REPOSITORY / ".cache" / "venv.lock"):
        if not _is_current(extra):
            _create()
            _install(extra)
    return PYTHON


@contextmanager
def file_lock(lock: Path) -> Iterator[None]:
    """Wait until nobody else on this machine is in here with the same lock."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_current(extra: str) -> bool:
    return _stamp(extra).exists() and _version() == _OURS


def _stamp(extra: str) -> Path:
    """The file that says: installed from this very recipe, with these extras."""
    recipe = b"".join(file.read_bytes() for file in _RECIPE)
    return VENV / f"shop-{hashlib.sha256(recipe).hexdigest()[:16]}{extra and '-' + extra}"


def _version() -> str:
    """Return the version of the environment's Python, such as 3.13; empty: unusable."""
    # A moved or upgraded Python leaves an environment whose own is a dangling link.
    if not PYTHON.exists():
        return ""
    code = "import pip, sys; print(*sys.version_info[:2], sep='.')"
    words = (str(PYTHON), "-c", code)
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def _create() -> None:
    found = _version()
    if found == _OURS:
        return
    if found and load(from_environment().directory):
        raise ShopError(
            f"the shop runs on Python {found}, and this is {_OURS}: make down, without"
            " PYTHON=…, comes first"
        )
    bare = (sys.executable, "-m", "venv", "--without-pip", "--clear", str(VENV))
    if why := _failure(*bare):
        raise ShopError(f"no virtual environment can be made in {VENV}: {why}")
    # The pip that comes with Python 3.11 takes twice as long over our packages, and
    # unpacking it first takes as long again; where it is missing there is no other way.
    theirs = (sys.executable, "-m", "pip", "--python", str(PYTHON), *_PIP[2:])
    if not _failure(*theirs, _NEWER_PIP):
        return
    if why := _failure(str(PYTHON), "-m", "ensurepip"):
        raise ShopError(f"{VENV} gets no pip (Debian: apt install python3-venv): {why}")


def _install(extra: str) -> None:
    for stamp in VENV.glob("shop-*"):
        stamp.unlink()
    wanted = ("-c", str(_CONSTRAINTS), _NEWER_PIP, *_requirements(extra))
    if why := _failure(str(PYTHON), *_PIP, "--retries", "2", *wanted):
        raise ShopError(f"packages can't be installed (is there a network?): {why}")
    _stamp(extra).touch()
    _stamp("").touch()


def _requirements(extra: str) -> list[str]:
    project = tomllib.loads(_RECIPE[0].read_text())["project"]
    extras = (project["optional-dependencies"][name] for name in extra.split(",") if name)
    return [*project["dependencies"], *chain.from_iterable(extras)]


def _failure(*words: str) -> str:
    """Run a command; return the most telling line of what it said if it failed."""
    ran = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if not ran.returncode:
        return ""
    said = [line.strip() for line in (ran.stdout + ran.stderr).splitlines() if line.strip()]
    errors = [line for line in said if "error" in line.lower()]
    return (errors or said or [f"exit code {ran.returncode}"])[-1]


def main() -> int:
    """Make the environment; 1 and one line on standard error when that can't be."""
    try:
        ensure(*sys.argv[1:2])
    except ShopError as reason:
        print(f"environment: {reason}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
