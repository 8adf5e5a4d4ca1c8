"""`make fresh` where it can't run: a reason and an exit code of its own."""

import os
import subprocess
from pathlib import Path

import pytest

from agents.ops.local.deployment import REPOSITORY

CANNOT_RUN = 77


@pytest.mark.parametrize(
    ("program", "output", "reason"),
    [
        ("uname", "Darwin", "this is not Linux"),
        ("id", "1000", "only root can make a chroot"),
    ],
)
def test_where_it_cannot_run_it_ends_with_the_reason(
    program: str, output: str, reason: str, tmp_path: Path
):
    for name, shown in {"uname": "Linux", "id": "0", program: output}.items():
        fake = tmp_path / name
        fake.write_text(f"#!/bin/sh\necho {shown}\n")
        fake.chmod(0o755)
    ran = subprocess.run(
        [REPOSITORY / "tests" / "fresh" / "run.sh"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == CANNOT_RUN
    assert ran.stderr == f"fresh: cannot run here: {reason}\n"
