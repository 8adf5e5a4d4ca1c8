"""Measures CPU time and memory of processes."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Spent:
    """The CPU time of a process between two readings, and its memory at the second."""

    cpu_seconds: float
    rss_mb: int


class Meter:
    """Measures processes from `start` to `read`.

    Args:
        pids: by name.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self.start()

    def start(self) -> None:
        """Take the first reading."""
        self._before = {name: cpu_seconds(pid) for name, pid in self._pids.items()}

    def read(self) -> dict[str, Spent]:
        """Return the consumption since the first reading."""
        return {
            name: Spent(cpu_seconds(pid) - self._before[name], rss_bytes(pid) >> 20)
            for name, pid in self._pids.items()
        }


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, in user and in kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
