"""Plant each bug into a copy of the shop, and see that its tests notice.

    python -m tests.planted [--only PATTERN]

Prints for each bug what noticed it and how long that took, and a JSON line; ends with 1 if
a bug was not noticed. The same tests pass on the copy as it is: that is tried first, or
their failures would prove nothing.
"""

import argparse
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pytest

from tests.planted.bug import Bug
from tests.planted.bugs import BUGS

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 600.0
_TESTS_FAILED = 1
_FORK = multiprocessing.get_context("fork")
_LIBRARIES = (
    *("aiohttp", "aiokafka", "faust.transport.drivers.aiokafka", "orjson", "rocksdict"),
    *("pydantic_settings", "pytest_asyncio", "uvloop", "aiosmtplib"),
)
"""What takes most of a test's time to import, and is the same for all bugs."""


def main() -> int:
    """Try all bugs, or some."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted")
    told = "a regular expression, to be found in the bug's name or its test's"
    parser.add_argument("--only", default="", help=told)
    only = re.compile(parser.parse_args().only)
    bugs = [bug for bug in BUGS if only.search(f"{bug.name} {bug.noticed_by}")]
    for library in _LIBRARIES:
        import_module(library)
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory, "shop")
        _copy(copy)
        tests = sorted({bug.noticed_by for bug in bugs})
        if not _passes(copy, tests):
            print("the tests fail without any bug")
            return 1
        missed = [bug for bug in bugs if not _is_noticed(copy, bug)]
    print(f"{len(bugs) - len(missed)} of {len(bugs)} bugs were noticed")
    return 1 if missed else 0


def _copy(directory: Path) -> None:
    """Copy what git knows; the jars of the broker are shared."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, stdout=-1)
    for name in listed.stdout.decode().rstrip("\0").split("\0"):
        if (ROOT / name).is_file():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, directory / name)
    (directory / ".cache").symlink_to(ROOT / ".cache")


def planted(text: str, bug: Bug) -> str:
    """Return a file's text with a bug.

    Raises:
        ValueError: the right text is not there, or not only once.
    """
    if text.count(bug.right) != 1:
        raise ValueError(f"{bug.name}: not there, or twice in {bug.file}: {bug.right}")
    return text.replace(bug.right, bug.wrong)


def _is_noticed(copy: Path, bug: Bug) -> bool:
    file, began = copy / bug.file, time.monotonic()
    right = file.read_text()
    _write(file, planted(right, bug))
    noticed = not _passes(copy, [bug.noticed_by])
    _write(file, right)
    seconds = round(time.monotonic() - began, 1)
    test = bug.noticed_by.rpartition("::")[2].removeprefix("test_").replace("_", " ")
    print(f"{'noticed' if noticed else 'MISSED':8}{seconds:6} s  {bug.name}  ←  {test}")
    print(json.dumps({"bug": bug.name, "noticed": noticed, "seconds": seconds}), flush=True)
    return noticed


def _write(file: Path, text: str) -> None:
    file.write_text(text)
    # Python might take what it compiled for this text, if all went within a second.
    shutil.rmtree(file.parent / "__pycache__", ignore_errors=True)


def _passes(copy: Path, tests: Sequence[str]) -> bool:
    """Run tests in the copy; only a test that failed is a bug that was noticed.

    Raises:
        RuntimeError: the tests could not be run, which proves nothing.
    """
    said = copy / "said"
    process = _FORK.Process(target=_run, args=(copy, tests, said))
    process.start()
    process.join(PATIENCE_SECONDS)
    if process.is_alive():
        process.kill()
        return False
    could_not = re.search(r"^ERROR ", said.read_text(), re.MULTILINE)
    if could_not or process.exitcode not in (0, _TESTS_FAILED):
        raise RuntimeError(f"pytest could not run {tests}:\n{said.read_text()[-3000:]}")
    return process.exitcode == 0


def _run(copy: Path, tests: Sequence[str], said: Path) -> None:
    """Be pytest in the copy: with the libraries that are here, and nothing else of here."""
    with said.open("w") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    os.chdir(copy)
    sys.path[:] = [str(copy), *(place for place in sys.path if Path(place) != ROOT)]
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *tests]))


if __name__ == "__main__":
    sys.exit(main())
