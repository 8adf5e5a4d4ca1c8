"""Warnings and errors that repeat: the first line, then one a minute with the count.

A failing environment or a hostile client can cause the same line with each request. Without
a bound such lines rotate all history away.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType

from cachetools import LRUCache

from topics import outage

EVERY = timedelta(minutes=1)
MAX_LINES = 1000
"""So many different lines are counted; the one that came longest ago is forgotten."""

_Key = tuple[str, str, str]


@dataclass(slots=True)
class _Line:
    written: float
    suppressed: int = 0


class RepeatFilter(logging.Filter):
    """Bounds how often a warning or an error is written.

    Lines are the same if their logger and their text before formatting are, and for a
    traceback also its innermost place: two different errors are both written.

    Args:
        clock: returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lines: LRUCache[_Key, _Line] = LRUCache(MAX_LINES)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line is to be written; the count is added to its end."""
        bounded = logging.WARNING <= record.levelno < logging.CRITICAL
        if not bounded or record.name == outage.__name__:
            return True
        key, now = _key(record), self._clock()
        line = self._lines.get(key)
        if line is not None and now - line.written < EVERY.total_seconds():
            line.suppressed += 1
            return False
        if line is not None and line.suppressed:
            record.msg = f"{record.getMessage()} suppressed={line.suppressed}"
            record.args = ()
        self._lines[key] = _Line(now)
        return True


def _key(record: logging.LogRecord) -> _Key:
    first, *_ = str(record.msg).split("\n", 1)
    if not record.exc_info or record.exc_info[0] is None:
        return record.name, first, ""
    kind, _error, trace = record.exc_info
    return record.name, first, f"{kind.__name__} {_place(trace)}"


def _place(trace: TracebackType | None) -> str:
    """Return where an error was raised."""
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
