"""The virtual environment, created and updated automatically.

    python -m agents.ops.local.environment [dev,check]

This module needs Python alone. Another version of Python recreates the environment.
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

_THIS = "{}.{}".format(*sys.version_info)
_CONSTRAINTS = REPOSITORY / ".ci" / "constraints.txt"
_INPUTS = (REPOSITORY / "pyproject.toml", _CONSTRAINTS)
_NEWER_PIP = "pip==26.3"
_PIP = ("-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input")


def ensure(extra: str = "") -> Path:
    """Return the environment's Python, creating or updating the environment first.

    Args:
        extra: names of optional dependencies, such as "dev,check".

    Raises:
        ShopError: packages can't be installed, or the shop runs on another Python
            version.
    """
    with file_lock(REPOSITORY / ".cache" / "venv.lock"):
        if not _is_current(extra):
            _create()
            _install(extra)
    return PYTHON


@contextmanager
def file_lock(lock: Path) -> Iterator[None]:
    """Hold the lock of a file, which excludes other processes of this machine."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_current(extra: str) -> bool:
    return _stamp(extra).exists() and _version() == _THIS


def _stamp(extra: str) -> Path:
    """Return the file that marks an installation from these inputs with these extras."""
    content = b"".join(file.read_bytes() for file in _INPUTS)
    return VENV / f"shop-{hashlib.sha256(content).hexdigest()[:16]}{extra and '-' + extra}"


def _version() -> str:
    """Return the version of the environment's Python, such as 3.13; empty: unusable."""
    # A moved or upgraded Python leaves a dangling link in the environment.
    if not PYTHON.exists():
        return ""
    code = "import pip, sys; print(*sys.version_info[:2], sep='.')"
    command = (str(PYTHON), "-c", code)
    return subprocess.run(
        command, capture_output=True, text=True, check=False
    ).stdout.strip()


def _create() -> None:
    found = _version()
    if found == _THIS:
        return
    if found and load(from_environment().directory):
        raise ShopError(
            f"the shop runs on Python {found}, and this is {_THIS}: run make down"
            " without PYTHON=… first"
        )
    bare = (sys.executable, "-m", "venv", "--without-pip", "--clear", str(VENV))
    if error := _failure(*bare):
        raise ShopError(f"no virtual environment can be made in {VENV}: {error}")
    # The pip of Python 3.11 takes twice as long for these packages, and unpacking it
    # takes as long again. So ensurepip is only used where the host has no pip.
    host_pip = (sys.executable, "-m", "pip", "--python", str(PYTHON), *_PIP[2:])
    if not _failure(*host_pip, _NEWER_PIP):
        return
    if error := _failure(str(PYTHON), "-m", "ensurepip"):
        raise ShopError(f"{VENV} has no pip (Debian: apt install python3-venv): {error}")


def _install(extra: str) -> None:
    for stamp in VENV.glob("shop-*"):
        stamp.unlink()
    packages = ("-c", str(_CONSTRAINTS), _NEWER_PIP, *_requirements(extra))
    if error := _failure(str(PYTHON), *_PIP, "--retries", "2", *packages):
        raise ShopError(f"packages can't be installed (is there a network?): {error}")
    _stamp(extra).touch()
    _stamp("").touch()


def _requirements(extra: str) -> list[str]:
    project = tomllib.loads(_INPUTS[0].read_text())["project"]
    extras = (project["optional-dependencies"][name] for name in extra.split(",") if name)
    return [*project["dependencies"], *chain.from_iterable(extras)]


def _failure(*command: str) -> str:
    """Run a command; return an error line of its output if it failed."""
    ran = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if not ran.returncode:
        return ""
    lines = [
        line.strip() for line in (ran.stdout + ran.stderr).splitlines() if line.strip()
    ]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or [f"exit code {ran.returncode}"])[-1]


def main() -> int:
    """Create the environment; return 1 after an error, with one line on standard error."""
    try:
        ensure(*sys.argv[1:2])
    except ShopError as reason:
        print(f"environment: {reason}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
