"""Log lines: key=value for people, or with LOG_FORMAT=json one object each for programs."""

import json
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime

from topics.kafka.headers import CORRELATION_ID, LOG_CONTEXT, TRACE, trace_id
from topics.telemetry.outage import OUTAGES, OutageFilter
from topics.telemetry.outage import log as outages
from topics.telemetry.repeats import RepeatFilter

PLAIN = "time=%(asctime)s level=%(levelname)s logger=%(name)s %(message)s"


def configure(service: str) -> None:
    """Log to the standard error, in the form that the environment asks for.

    What repeats is bounded: see `topics.telemetry.outage` and `topics.telemetry.repeats`.
    """
    as_json = os.environ.get("LOG_FORMAT") == "json"
    _configure(logging.INFO, JsonLines(service) if as_json else logging.Formatter(PLAIN))


def configure_tool() -> None:
    """Log outages and what is critical alone: a tool reports itself why it fails."""
    _configure(logging.CRITICAL, logging.Formatter(PLAIN))
    outages.setLevel(logging.WARNING)
    OUTAGES.mute_first_contact()


def _configure(level: int, form: logging.Formatter) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(form)
    handler.addFilter(OutageFilter())
    handler.addFilter(RepeatFilter(handler))
    logging.basicConfig(level=level, handlers=[handler])


class JsonLines(logging.Formatter):
    """One JSON object a line, with the ids of what the task that logs is about."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Write a line; all of it is ASCII."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
            **dict(_ids()),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _ids() -> Iterator[tuple[str, str]]:
    said = {name: value for name, value in LOG_CONTEXT.get() if value}
    if CORRELATION_ID in said:
        yield "correlation_id", said[CORRELATION_ID].decode("latin-1")
    if trace := trace_id(said.get(TRACE[0], b"")):
        yield "trace_id", trace
