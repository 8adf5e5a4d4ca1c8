"""Plant each bug into a copy of the shop, and see that its tests notice.

    python -m tests.planted [--only PATTERN]

Prints for each bug what noticed it and how long that took, and a JSON line; ends with 1 if
a bug was not noticed. The same tests pass on the copy as it is: that is tried first, or
their failures would prove nothing.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.planted.bug import Bug
from tests.planted.bugs import BUGS

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 600.0
_TESTS_FAILED = 1


def main() -> int:
    """Try all bugs, or some."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted")
    told = "a regular expression, to be found in the bug's name or its test's"
    parser.add_argument("--only", default="", help=told)
    only = re.compile(parser.parse_args().only)
    bugs = [bug for bug in BUGS if only.search(f"{bug.name} {bug.noticed_by}")]
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
    file.write_text(planted(right, bug))
    noticed = not _passes(copy, [bug.noticed_by])
    file.write_text(right)
    seconds = round(time.monotonic() - began, 1)
    test = bug.noticed_by.rpartition("::")[2].removeprefix("test_").replace("_", " ")
    print(f"{'noticed' if noticed else 'MISSED':8}{seconds:6} s  {bug.name}  ←  {test}")
    print(json.dumps({"bug": bug.name, "noticed": noticed, "seconds": seconds}), flush=True)
    return noticed


def _passes(copy: Path, tests: Sequence[str]) -> bool:
    """Run tests in the copy; only a test that failed is a bug that was noticed.

    Raises:
        RuntimeError: the tests could not be run, which proves nothing.
    """
    words = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    try:
        ran = subprocess.run(
            [*words, *tests],
            cwd=copy,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    setup_failed = re.search(r"^ERROR ", ran.stdout, re.MULTILINE)
    if setup_failed or ran.returncode not in (0, _TESTS_FAILED):
        raise RuntimeError(f"pytest could not run {tests}:\n{ran.stdout[-3000:]}")
    return ran.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
