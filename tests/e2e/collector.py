"""A collector of traces: OTLP over HTTP, in this process."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1 import trace_pb2


@dataclass(frozen=True)
class Span:
    """A received span.

    Attributes:
        kind: SERVER, CLIENT or CONSUMER.
        trace, id, parent: hexadecimal; no parent is "".
        failed: whether it ended with an error.
    """

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    failed: bool
    seconds: float
    attributes: Mapping[str, Any]


class Collector:
    """Receives spans and keeps them.

    Attributes:
        spans: the received ones.
        endpoint: for `OTEL_EXPORTER_OTLP_ENDPOINT`, once it is started.
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._runner = web.ServerRunner(web.Server(self._take))

    async def start(self) -> None:
        """Listen on a free port."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.endpoint = "http://{}:{}".format(*self._runner.addresses[0])

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    def of(self, trace: str) -> dict[str, Span]:
        """Return the spans of a trace by their ids."""
        return {span.id: span for span in self.spans if span.trace == trace}

    async def _take(self, request: web.BaseRequest) -> web.Response:
        assert (request.method, request.path) == ("POST", "/v1/traces")
        exported = ExportTraceServiceRequest.FromString(await request.read())
        for resource in exported.resource_spans:
            own = {each.key: each.value for each in resource.resource.attributes}
            service = own["service.name"].string_value
            for scope in resource.scope_spans:
                self.spans += [_span(service, each) for each in scope.spans]
        body = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=body, content_type="application/x-protobuf")


def _span(service: str, exported: trace_pb2.Span) -> Span:
    return Span(
        service=service,
        name=exported.name,
        kind=trace_pb2.Span.SpanKind.Name(exported.kind).removeprefix("SPAN_KIND_"),
        trace=exported.trace_id.hex(),
        id=exported.span_id.hex(),
        parent=exported.parent_span_id.hex(),
        failed=exported.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        seconds=(exported.end_time_unix_nano - exported.start_time_unix_nano) / 1e9,
        attributes={
            a.key: getattr(a.value, a.value.WhichOneof("value"))
            for a in exported.attributes
        },
    )
