"""Log lines as key=value, or as JSON objects with LOG_FORMAT=json.

Repeated lines are limited: a failing environment or a hostile client can cause the same
line with each request, and such lines would rotate all history away. Lines of Kafka's
clients about an outage of a broker are only counted: the outage has its own lines.
"""

import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from traceback import walk_tb

from aiokafka import errors
from cachetools import LRUCache

from topics.kafka import connection
from topics.kafka.connection import AUTHENTICATION_ERRORS, OUTAGES
from topics.kafka.headers import CORRELATION_ID, LOG_CONTEXT, TRACE, trace_id

PLAIN = "time=%(asctime)s level=%(levelname)s logger=%(name)s %(message)s"

MAX_LINES = 1000
"""Limit of the different lines that are counted; the least recent one is dropped."""

MAX_OBJECTS = 100
"""Limit of a line's objects that are counted separately."""

_OBJECTS = re.compile(r"\b(?:topic=\S+ partition|partition|path|transport)=\S+")

_SECONDS = 60.0
_Key = tuple[object, ...]

_OF_OUTAGES = (
    OSError,  # includes timeouts
    errors.KafkaConnectionError,
    errors.NodeNotReadyError,
    errors.RequestTimedOutError,
    errors.StaleMetadata,
    errors.BrokerNotAvailableError,
    errors.CoordinatorNotAvailableError,
    errors.CoordinatorLoadInProgressError,
    errors.NotCoordinatorError,
    errors.LeaderNotAvailableError,
    errors.NotLeaderForPartitionError,
    *AUTHENTICATION_ERRORS,  # the line of the outage has it
)

_REPEATED = {
    'Unable connect to "%s:%s": %s',
    "Unable connect to node with id %s: %s",
    'Unable to request metadata from "%s:%s": %s',
    "Unable to request metadata from node with id %s: %r",
    "Unable to update metadata from %s",
    "Error sending %s to node %s [%s] -- marking coordinator dead",
    "Marking the coordinator dead (node %s)for group %s.",
    "Group Coordinator Request failed: %s",
    "Heartbeat session expired - marking coordinator dead",
    "Heartbeat send request failed: %s. Will retry.",
    (
        "Heartbeat failed for group %s: coordinator (node %s)"
        " is either not started or not valid"
    ),
    "LeaveGroup request failed: %s",
    "OffsetCommit failed before join, ignoring: %s",
    "Failed to commit on finallization: %s",
    "Failed fetch messages from %s: %s",
    "Failed fetch offsets from %s: %s",
    "Unexpected error while fetching data: %s",
    "Attempt to fetch offsets for partition %s failed due to: %s",
    "FindCoordinator Request failed: %s",
    "Cannot send %r to %s: %r",
    "Could not send %r: %r",
    "Got error produce response: %s",
    "Got error produce response on topic-partition %s, retrying. Error: %s",
    # Lines of the shop.
    "event=waiting-for-kafka reason=%r",
    "event=replies-interrupted error=%r",
    "event=producer-failed error=%r",
}


def configure(service: str) -> None:
    """Log to standard error, in the format of `LOG_FORMAT`."""
    as_json = os.environ.get("LOG_FORMAT") == "json"
    _configure(logging.INFO, JsonLines(service) if as_json else logging.Formatter(PLAIN))


def configure_tool() -> None:
    """Log outages and critical lines only: a tool reports its failure itself."""
    _configure(logging.CRITICAL, logging.Formatter(PLAIN))
    connection.log.setLevel(logging.WARNING)
    OUTAGES.muted = True  # the tool reports that it can't reach a broker


def _configure(level: int, formatter: logging.Formatter) -> None:
    # No format has them; they are a third of a line's cost (Python's logging HOWTO).
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    handler.addFilter(lambda record: not (repeats_outage(record) and OUTAGES.suppress()))
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
        if not limited or record.name == connection.__name__:
            return True
        with self._lock:
            key, now = self._key(record), self._clock()
            line = self._lines.get(key)
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


def repeats_outage(record: logging.LogRecord) -> bool:
    """Return whether a line repeats an outage: a known one, with a connection error."""
    text = str(record.msg)
    if text not in _REPEATED or record.exc_info:
        return False
    return not any(map(_is_other_error, record.args or ()))


def _is_other_error(arg: object) -> bool:
    kind = arg if isinstance(arg, type) else type(arg)
    if not issubclass(kind, BaseException) or issubclass(kind, _OF_OUTAGES):
        return False
    cause = getattr(arg, "__cause__", None)
    return not isinstance(cause, BaseException) or _is_other_error(cause)
