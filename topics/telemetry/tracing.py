"""Traces a request through all services; off without a collector.

Each processing step is a span, whose id is in the trace headers of the next record (W3C
trace context). Without a collector the trace headers of a caller are propagated unchanged.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from topics.telemetry.otlp import Tracer

Headers = Sequence[tuple[str, bytes]]
Attributes = Mapping[str, str | int]
Kind = Literal["SERVER", "CLIENT", "CONSUMER"]

COLLECTOR = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""OpenTelemetry's variable; its others (OTEL_TRACES_SAMPLER, …) are read as well."""


_tracer: "Tracer | None" = None


def start(service: str) -> None:
    """Turn tracing of this process on, if there is a collector."""
    global _tracer  # noqa: PLW0603 -- one for each process, as the log
    if os.environ.get(COLLECTOR):
        # Imported here, since the import costs time and memory.
        _tracer = import_module("topics.telemetry.otlp").Tracer(service)


def is_on() -> bool:
    """Return whether tracing is on; callers in a hot loop keep the result."""
    return _tracer is not None


def span(
    name: str, kind: Kind, headers: Headers, attributes: Attributes | None = None
) -> AbstractContextManager[Headers]:
    """Create a span around a block; yield the headers for messages of the block.

    Args:
        name: the same for all spans of an operation.
        kind: OpenTelemetry's kind.
        headers: of the record or request, which have the parent.
        attributes: with OpenTelemetry's names.
    """
    if _tracer is None:
        return nullcontext(headers)
    return _tracer.span(name, kind, headers, attributes or {})
