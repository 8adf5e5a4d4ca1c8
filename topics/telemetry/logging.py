"""Log lines as key=value, or as JSON objects with LOG_FORMAT=json.

Repeated lines are limited: a failing environment or a hostile client can cause the same
line with each request, and such lines would rotate all history away.
"""

import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from traceback import walk_tb

from cachetools import LRUCache

from topics.kafka.headers import CORRELATION_ID, LOG_CONTEXT, TRACE, trace_id
from topics.telemetry import outage
from topics.telemetry.outage import OUTAGES

PLAIN = "time=%(asctime)s level=%(levelname)s logger=%(name)s %(message)s"

MAX_LINES = 1000
"""Limit of the different lines that are counted; the least recent one is dropped."""

MAX_OBJECTS = 100
"""Limit of a line's objects that are counted separately."""

_OBJECTS = re.compile(r"\b(?:topic=\S+ partition|partition|path|transport)=\S+")

_SECONDS = timedelta(minutes=1).total_seconds()
_Key = tuple[object, ...]


def configure(service: str) -> None:
    """Log to standard error, in the format of `LOG_FORMAT`."""
    as_json = os.environ.get("LOG_FORMAT") == "json"
    _configure(logging.INFO, JsonLines(service) if as_json else logging.Formatter(PLAIN))


def configure_tool() -> None:
    """Log outages and critical lines only: a tool reports its failure itself."""
    _configure(logging.CRITICAL, logging.Formatter(PLAIN))
    outage.log.setLevel(logging.WARNING)
    OUTAGES.mute_first_contact()


def _configure(level: int, formatter: logging.Formatter) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    handler.addFilter(lambda record: not OUTAGES.suppress(record))
    handler.addFilter(RepeatFilter(handler))
    logging.basicConfig(level=level, handlers=[handler])


class JsonLines(logging.Formatter):
    """Formats a line as JSON object, with the ids of the record that the task processes."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return a line of ASCII."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        headers = {name: value for name, value in LOG_CONTEXT.get() if value}
        if CORRELATION_ID in headers:
            line["correlation_id"] = headers[CORRELATION_ID].decode("latin-1")
        if trace := trace_id(headers.get(TRACE[0], b"")):
            line["trace_id"] = trace
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


@dataclass(slots=True)
class _Line:
    written: float
    last: logging.LogRecord | None = None
    suppressed: int = 0


def _by_timer(seconds: float, do: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, do)
    timer.daemon = True
    timer.start()


class RepeatFilter(logging.Filter):
    """Limits how often a handler writes the same warning or error.

    Lines are the same if their logger and their unformatted text are, the innermost frame
    of their traceback, and the objects that they name: so a partition hides no other one.
    A topic alone is no such object, since clients can name many.
    A minute after a line the last suppressed one is written, with the number of the others.

    Args:
        handler: writes that line.
        clock: returns monotonic seconds.
        later: calls a function after a number of seconds.
    """

    def __init__(
        self,
        handler: logging.Handler,
        clock: Callable[[], float] = time.monotonic,
        later: Callable[[float, Callable[[], None]], None] = _by_timer,
    ) -> None:
        super().__init__()
        self._handler = handler
        self._clock = clock
        self._later = later
        self._lock = threading.Lock()
        self._lines: LRUCache[_Key, _Line] = LRUCache(MAX_LINES)
        self._objects: LRUCache[_Key, set[_Key]] = LRUCache(MAX_LINES)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write a line now."""
        limited = logging.WARNING <= record.levelno < logging.CRITICAL
        if not limited or record.name == outage.__name__:
            return True
        with self._lock:
            return self._is_first(self._key(record), record)

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

    def _key(self, record: logging.LogRecord) -> _Key:
        first, *_ = str(record.msg).split("\n", 1)
        kind, _, trace = record.exc_info or (None, None, None)
        places = [(frame.f_code.co_filename, line) for frame, line in walk_tb(trace)]
        line = record.name, first, kind, *places[-1:]
        if not first.startswith("event="):  # of a library, with other names of fields
            return line
        objects = tuple(_OBJECTS.findall(record.getMessage()))
        known = self._objects.setdefault(line, set())
        if len(known) < MAX_OBJECTS:
            known.add(objects)
        return (line, objects) if objects in known else line
