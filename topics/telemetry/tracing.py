"""One trace through all that follows from a request; off unless there is a collector.

Each hop is a span, and the next one is told of it by the trace headers of its record (W3C
trace context). While it is off, a caller's own headers ride along as they are.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Literal, Protocol

Headers = Sequence[tuple[str, bytes]]
Attributes = Mapping[str, str | int]
Kind = Literal["SERVER", "CLIENT", "CONSUMER"]

COLLECTOR = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""OpenTelemetry's own variable; its others (OTEL_TRACES_SAMPLER, …) hold as well."""


class Tracer(Protocol):
    """What `topics.telemetry.otlp` has one of."""

    def span(
        self, name: str, kind: Kind, headers: Headers, attributes: Attributes
    ) -> AbstractContextManager[Headers]:
        """See below."""


_tracer: Tracer | None = None


def start(service: str) -> None:
    """Trace what this process does from now on, if there is a collector to tell it to."""
    global _tracer  # noqa: PLW0603 -- there is one a process, as there is one log
    if os.environ.get(COLLECTOR):
        # Not imported before: it costs time and memory that nobody should pay for nothing.
        _tracer = import_module("topics.telemetry.otlp").Tracer(service)


def is_on() -> bool:
    """Say whether spans are made; whoever handles records by the thousand asks once."""
    return _tracer is not None


def span(
    name: str, kind: Kind, headers: Headers, attributes: Attributes | None = None
) -> AbstractContextManager[Headers]:
    """Make a span of what is done within it.

    Args:
        name: the same for all of its sort.
        kind: what it is to others.
        headers: of the record or request that it serves; they tell its parent.
        attributes: what else there is to know, under OpenTelemetry's names.

    Returns:
        Yields the headers with which whatever follows is a child of this span.
    """
    if _tracer is None:
        return nullcontext(headers)
    return _tracer.span(name, kind, headers, attributes or {})
