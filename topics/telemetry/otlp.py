"""Spans by OpenTelemetry, sent as OTLP over HTTP; imported only where they are wanted."""

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

LAST_WORDS_SECONDS = 2.0

_W3C = TraceContextTextMapPropagator()


class Tracer:
    """Makes the spans of this process; they leave it by a thread of their own.

    Args:
        service: what the process is called.

    Attributes:
        provider: OpenTelemetry's own part.
    """

    def __init__(self, service: str) -> None:
        worker = os.environ.get("WORKER") or f"{service}@{socket.gethostname()}"
        own = {"service.name": service, "service.instance.id": worker}
        self.provider = TracerProvider(
            resource=Resource.create(own), shutdown_on_exit=False
        )
        self.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self.provider.get_tracer("shop")
        atexit.register(self.end)

    @contextmanager
    def span(
        self, name: str, kind: Kind, headers: Headers, attributes: Attributes
    ) -> Iterator[Headers]:
        """Make a span, whose parent is what the headers say and not what runs around it.

        Work goes on in tasks that outlive the batch that began them, so no span is ever
        the current one.
        """
        said = {name: value.decode("latin-1") for name, value in headers if value}
        parent = _W3C.extract(
            {name: said[name] for name in TRACE if name in said}, Context()
        )
        with self._tracer.start_span(name, parent, SpanKind[kind], attributes) as span:
            onward: dict[str, str] = {}
            _W3C.inject(onward, set_span_in_context(span, Context()))
            others = [header for header in headers if header[0] not in TRACE]
            yield [*others, *((name, text.encode()) for name, text in onward.items())]

    def end(self) -> None:
        """Send what is left; no process waits long for a collector that is away."""
        last_words = Thread(target=self.provider.shutdown, daemon=True)
        last_words.start()
        last_words.join(LAST_WORDS_SECONDS)
