"""The limit of open files: the soft one is for programs that use `select`."""

import subprocess
import sys

import pytest

RAISE = """
import resource
from topics.cli import raise_file_limit
{entry}
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""
WORKER = """
import sys
sys.argv = ["agents"]
import agents.__main__
try:
    agents.__main__.main()
except SystemExit:
    pass
"""
AUDIT = """
import sys
sys.argv = ["audit", "--none"]
import agents.ops.audit.__main__
try:
    agents.ops.audit.__main__.main()
except SystemExit:
    pass
"""


@pytest.mark.parametrize(
    "entry", ["raise_file_limit()", WORKER, AUDIT], ids=["alone", "agents", "audit"]
)
def test_the_soft_limit_becomes_the_hard_one(entry: str):
    limits = "ulimit -Sn 64 && ulimit -Hn 256"
    run = subprocess.run(
        [
            "sh",
            "-c",
            f'{limits} && exec "$0" -c "$1"',
            sys.executable,
            RAISE.format(entry=entry),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "(256, 256)\n"
