"""The virtual environment, made and kept up to date without being asked.

    python -m agents.local.environment [dev,check]

Needs Python alone.
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

from agents.local.shop import REPOSITORY, ShopError

VENV = REPOSITORY / ".venv"
PYTHON = VENV / "bin" / "python"

_NEEDED = (3, 11)
_CONSTRAINTS = REPOSITORY / ".ci" / "constraints.txt"
_RECIPE = (REPOSITORY / "pyproject.toml", _CONSTRAINTS)
_NEWER_PIP = "pip==26.3"
_PIP = ("-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input")


def ensure(extra: str = "") -> Path:
    """Return the environment's Python, creating or updating the environment first.

    Args:
        extra: which optional packages are wanted too, such as "dev,check".

    Raises:
        ShopError: this is the wrong Python, or packages can't be installed.
    """
    if sys.version_info[:2] != _NEEDED:
        raise ShopError(
            f"Python 3.11 is needed, and this is {sys.version.split()[0]}:"
            " make PYTHON=/path/to/python3.11 …"
        )
    with alone(REPOSITORY / ".cache" / "venv.lock"):
        if not _is_current(extra):
            _create()
            _install(extra)
    return PYTHON


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Wait until nobody else on this machine is in here with the same lock."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_current(extra: str) -> bool:
    return _stamp(extra).exists() and _runs()


def _stamp(extra: str) -> Path:
    """The file that says: installed from this very recipe, with these extras."""
    recipe = b"".join(file.read_bytes() for file in _RECIPE)
    return VENV / f"shop-{hashlib.sha256(recipe).hexdigest()[:16]}{extra and '-' + extra}"


def _runs() -> bool:
    # A moved or upgraded Python leaves an environment whose own is a dangling link.
    return PYTHON.exists() and not _failure(str(PYTHON), "-c", "import pip")


def _create() -> None:
    if _runs():
        return
    bare = (sys.executable, "-m", "venv", "--without-pip", "--clear", str(VENV))
    if why := _failure(*bare):
        raise ShopError(f"no virtual environment can be made in {VENV}: {why}")
    # The pip that comes with Python 3.11 takes twice as long over our packages, and
    # unpacking it first takes as long again; where it is missing there is no other way.
    theirs = (sys.executable, "-m", "pip", "--python", str(PYTHON), *_PIP[2:])
    if _failure(*theirs, _NEWER_PIP):
        _failure(str(PYTHON), "-m", "ensurepip")


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
