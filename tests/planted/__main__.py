"""Plant each bug into a copy of the shop, and see that its tests notice.

    python -m tests.planted [--only PATTERN]

Prints for each bug what noticed it and how long that took, and a JSON line; ends with 1 if
a bug was not noticed. Each test must pass on the copy as it is, which is tried before its
first bug, and must fail with the bug: an error around it, a test that can't be found or
one that doesn't come to an end prove nothing.
"""

import argparse
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from enum import StrEnum
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from tests.planted.bug import Bug
from tests.planted.bugs import BUGS

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 240.0
_FORK = multiprocessing.get_context("fork")
_LIBRARIES = (
    *("aiohttp", "aiokafka", "faust.transport.drivers.aiokafka", "orjson", "rocksdict"),
    *("pydantic_settings", "pytest_asyncio", "uvloop", "aiosmtplib"),
)
"""What takes most of a test's time to import, and is the same for all bugs."""


_SHOWN = 3000


class Result(StrEnum):
    """What became of a bug."""

    NOTICED = "noticed"
    MISSED = "MISSED"
    UNKNOWN = "UNKNOWN"


def main() -> int:
    """Try all bugs, or some."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted")
    pattern = "a regular expression, to be found in the bug's name or its test's"
    parser.add_argument("--only", default="", help=pattern)
    only = re.compile(parser.parse_args().only)
    bugs = [bug for bug in BUGS if only.search(f"{bug.name} {bug.noticed_by}")]
    for library in _LIBRARIES:
        import_module(library)
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory, "shop")
        _copy(copy)
        results = [_plant(copy, bug) for bug in bugs]
    print(f"{results.count(Result.NOTICED)} of {len(bugs)} bugs were noticed")
    return 0 if {*results} == {Result.NOTICED} else 1


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


def _plant(copy: Path, bug: Bug) -> Result:
    """Plant one bug and print the result."""
    result, why = _control(copy, bug.noticed_by)
    file, began = copy / bug.file, time.monotonic()
    if result is Result.MISSED:
        right = file.read_text()
        _write(file, planted(right, bug))
        result, why = _try(copy, bug.noticed_by)
        _write(file, right)
    else:
        result, why = Result.UNKNOWN, f"without any bug: {why}"
    seconds = round(time.monotonic() - began, 1)
    test = bug.noticed_by.rpartition("::")[2].removeprefix("test_").replace("_", " ")
    print(f"{result:8}{seconds:6} s  {bug.name}  ←  {test}: {why}")
    print(json.dumps({**bug._asdict(), "result": result, "why": why, "seconds": seconds}))
    sys.stdout.flush()
    return result


def _write(file: Path, text: str) -> None:
    file.write_text(text)
    # Python might take what it compiled for this text, if all went within a second.
    shutil.rmtree(file.parent / "__pycache__", ignore_errors=True)


@cache
def _control(copy: Path, test: str) -> tuple[Result, str]:
    """Run a test without any bug: there is nothing to be noticed."""
    return _try(copy, test)


def _try(copy: Path, test: str) -> tuple[Result, str]:
    """Run a test in the copy; return what that proves, and why."""
    output = copy / "output"
    process = _FORK.Process(target=_run, args=(copy, test, output))
    process.start()
    process.join(PATIENCE_SECONDS)
    exit_code = process.exitcode
    with suppress(ProcessLookupError):  # nothing that the test has started is left
        os.killpg(process.pid, signal.SIGKILL)
    process.join()
    return judge(exit_code, output.read_text(), test)


def judge(exit_code: int | None, output: str, test: str) -> tuple[Result, str]:
    """Say what a run of a test proves, and why.

    Args:
        exit_code: of pytest; None if it did not come to an end.
        output: by pytest, with its summary of what failed.
        test: the only selected one.
    """
    if exit_code is None:
        return Result.UNKNOWN, f"no end within {PATIENCE_SECONDS:.0f} s"
    if exit_code == pytest.ExitCode.OK and re.search(r"^\d+ passed", output, re.MULTILINE):
        return Result.MISSED, "passed"
    failed = re.search(
        rf"^FAILED {re.escape(test)}(\[.*?\])?( - .*)?$", output, re.MULTILINE
    )
    if exit_code != pytest.ExitCode.TESTS_FAILED or failed is None:
        return Result.UNKNOWN, f"pytest ended with {exit_code}:\n{output[-_SHOWN:]}"
    return Result.NOTICED, (failed[2] or "").removeprefix(" - ")


def _run(copy: Path, test: str, output: Path) -> None:
    """Be pytest in the copy: with the libraries that are here, and nothing else of here."""
    os.setsid()
    os.environ["COLUMNS"] = "250"  # room for the reason in pytest's summary
    with output.open("w") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    os.chdir(copy)
    sys.path[:] = [str(copy), *(place for place in sys.path if Path(place) != ROOT)]
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", test]))


if __name__ == "__main__":
    sys.exit(main())
