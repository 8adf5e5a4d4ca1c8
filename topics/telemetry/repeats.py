"""Limits repeated warnings and errors: the first line, then one a minute with a count.

A failing environment or a hostile client can cause the same line with each request. Without
a limit such lines rotate all history away.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType

from cachetools import LRUCache

from topics.telemetry import outage

_SECONDS = timedelta(minutes=1).total_seconds()
MAX_LINES = 1000
"""Limit of the different lines that are counted; the least recent one is dropped."""

_Key = tuple[str, str, str]
_Later = Callable[[float, Callable[[], None]], None]


@dataclass(slots=True)
class _Line:
    """The last time that a line was written, and the lines suppressed since."""

    written: float
    last: logging.LogRecord | None = None
    suppressed: int = 0


def _by_a_timer(seconds: float, do: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, do)
    timer.daemon = True
    timer.start()


class RepeatFilter(logging.Filter):
    """Limits how often a handler writes the same warning or error.

    Lines are the same if their logger and their unformatted text are, and the innermost
    frame of their traceback. A minute after a line the last suppressed one is written, with
    the number of the others.

    Args:
        handler: writes that line.
        clock: returns monotonic seconds.
        later: calls a function after a number of seconds.
    """

    def __init__(
        self,
        handler: logging.Handler,
        clock: Callable[[], float] = time.monotonic,
        later: _Later = _by_a_timer,
    ) -> None:
        super().__init__()
        self._handler = handler
        self._clock = clock
        self._later = later
        self._lock = threading.Lock()
        self._lines: LRUCache[_Key, _Line] = LRUCache(MAX_LINES)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write a line now."""
        bounded = logging.WARNING <= record.levelno < logging.CRITICAL
        if not bounded or record.name == outage.__name__:
            return True
        with self._lock:
            return self._is_first(_key(record), record)

    def _is_first(self, key: _Key, record: logging.LogRecord) -> bool:
        line, now = self._lines.get(key), self._clock()
        if line is None or (line.last is None and now - line.written >= _SECONDS):
            self._lines[key] = _Line(now)
            return True
        if line.last is None:
            self._later(line.written + _SECONDS - now, lambda: self._write(key))
        line.last = record
        line.suppressed += 1
        return False

    def _write(self, key: _Key) -> None:
        with self._lock:
            line = self._lines.get(key)
            if line is None or line.last is None:
                return
            record, others = line.last, line.suppressed - 1
            self._lines[key] = _Line(self._clock())
        if others:
            record.msg, record.args = f"{record.getMessage()} suppressed={others}", ()
        self._handler.acquire()
        try:
            self._handler.emit(record)
        finally:
            self._handler.release()


def _key(record: logging.LogRecord) -> _Key:
    first, *_ = str(record.msg).split("\n", 1)
    if not record.exc_info or record.exc_info[0] is None:
        return record.name, first, ""
    kind, _error, trace = record.exc_info
    return record.name, first, f"{kind.__name__} {_place(trace)}"


def _place(trace: TracebackType | None) -> str:
    """Return the place where an error was raised."""
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
