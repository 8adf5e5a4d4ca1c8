"""Processes of a shop whose supervisor was killed: nobody else would end them."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

# In the environment of each process of a shop, so that it can be told whose it is.
MARK = "SHOP_RUN_DIR"

_PATIENCE_SECONDS = 20.0
_POLL_SECONDS = 0.1


def end_orphans(directory: Path) -> int:
    """End what is left of the shop in a directory; return how many processes that were."""
    left = _left(directory)
    _signal(left, signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while still := _left(directory):
        if time.monotonic() > deadline:
            _signal(still, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
    return len(left)


def _left(directory: Path) -> list[int]:
    mark = f"{MARK}={directory}".encode()
    found = []
    # Where there is no /proc nothing is found, and people see which port is taken.
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in environment.read_bytes().split(b"\0"):
                found.append(int(environment.parent.name))
    return found


def _signal(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)
