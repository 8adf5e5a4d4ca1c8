"""Log lines as key=value, or as JSON objects with LOG_FORMAT=json."""

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
    """Log to standard error, in the format of `LOG_FORMAT`.

    Repeated lines are limited, see `topics.telemetry.outage` and `.repeats`.
    """
    as_json = os.environ.get("LOG_FORMAT") == "json"
    _configure(logging.INFO, JsonLines(service) if as_json else logging.Formatter(PLAIN))


def configure_tool() -> None:
    """Log outages and critical lines only: a tool reports its failure itself."""
    _configure(logging.CRITICAL, logging.Formatter(PLAIN))
    outages.setLevel(logging.WARNING)
    OUTAGES.mute_first_contact()


def _configure(level: int, formatter: logging.Formatter) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    handler.addFilter(OutageFilter())
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
            **dict(_ids()),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _ids() -> Iterator[tuple[str, str]]:
    headers = {name: value for name, value in LOG_CONTEXT.get() if value}
    if CORRELATION_ID in headers:
        yield "correlation_id", headers[CORRELATION_ID].decode("latin-1")
    if trace := trace_id(headers.get(TRACE[0], b"")):
        yield "trace_id", trace
