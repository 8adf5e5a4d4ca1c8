"""Processes of a shop whose supervisor was killed."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

# The environment of each process of a shop has this variable, with its directory.
MARK = "SHOP_RUN_DIR"

_TERM_SECONDS = 20.0
_POLL_SECONDS = 0.1


def end_orphans(directory: Path) -> int:
    """End orphaned processes of the shop in a directory; return their number."""
    left = _find(directory)
    _signal(left, signal.SIGTERM)
    deadline = time.monotonic() + _TERM_SECONDS
    while still := _find(directory):
        if time.monotonic() > deadline:
            _signal(still, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
    return len(left)


def _find(directory: Path) -> list[int]:
    mark = f"{MARK}={directory}".encode()
    found = []
    # Without /proc no process is found; the start then reports a taken port.
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in environment.read_bytes().split(b"\0"):
                found.append(int(environment.parent.name))
    return found


def _signal(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)
