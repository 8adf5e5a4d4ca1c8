"""Spans by OpenTelemetry, sent as OTLP over HTTP; imported only if tracing is on."""

import atexit
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from topics.kafka.headers import TRACE
from topics.telemetry.tracing import Attributes, Headers, Kind

SHUTDOWN_TIMEOUT_SECONDS = 2.0

_W3C = TraceContextTextMapPropagator()


class Tracer:
    """Creates the spans of this process; a separate thread sends them."""

    def __init__(self, service: str) -> None:
        worker = os.environ.get("WORKER") or f"{service}@{socket.gethostname()}"
        own = {"service.name": service, "service.instance.id": worker}
        resource = Resource.create(own)
        self.provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self.provider.get_tracer("shop")
        atexit.register(self.end)

    @contextmanager
    def span(
        self, name: str, kind: Kind, headers: Headers, attributes: Attributes
    ) -> Iterator[Headers]:
        """Create a span, whose parent is in the headers.

        Tasks outlive the batch that started them, so the current span of a task is not
        used.
        """
        trace = {n: value.decode("latin-1") for n, value in headers if n in TRACE and value}
        parent = _W3C.extract(trace, Context())
        with self._tracer.start_span(name, parent, SpanKind[kind], attributes) as span:
            propagated: dict[str, str] = {}
            _W3C.inject(propagated, set_span_in_context(span, Context()))
            others = [header for header in headers if header[0] not in TRACE]
            yield [*others, *((name, text.encode()) for name, text in propagated.items())]

    def end(self) -> None:
        """Send the remaining spans, within a limit if the collector does not respond."""
        shutdown = Thread(target=self.provider.shutdown, daemon=True)
        shutdown.start()
        shutdown.join(SHUTDOWN_TIMEOUT_SECONDS)
