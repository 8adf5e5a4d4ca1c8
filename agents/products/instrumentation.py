"""Metrics and spans of the calls to ProductService."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import grpc
from prometheus_client import Counter, Histogram

from schemas.product_service import SERVICE
from topics.kafka.headers import LOG_CONTEXT, TRACE
from topics.telemetry import tracing

METHOD = "GetProduct"
BY = ("grpc_service", "grpc_method", "grpc_code")

SECONDS = Histogram(
    "grpc_client_handling_seconds",
    "Time from a call to its response, of each attempt.",
    BY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2),
)
RETRIES = Counter(
    "grpc_client_retries_total", "Retried calls, by the status of the failure.", BY
)


@contextmanager
def client_span() -> Iterator[tuple[tuple[str, str], ...]]:
    """Time a call within a span; yield the metadata of the trace."""
    began, code = perf_counter(), grpc.StatusCode.CANCELLED
    attributes = {"rpc.system": "grpc", "rpc.service": SERVICE, "rpc.method": METHOD}
    name = f"{SERVICE}/{METHOD}"
    try:
        with tracing.span(name, "CLIENT", LOG_CONTEXT.get(), attributes) as headers:
            # Without a tracer they are a client's own, which gRPC may refuse to send.
            trace = headers if tracing.is_on() else ()
            yield tuple((name, value.decode()) for name, value in trace if name in TRACE)
        code = grpc.StatusCode.OK
    except grpc.aio.AioRpcError as error:
        code = error.code()
        raise
    finally:
        SECONDS.labels(SERVICE, METHOD, code.name).observe(perf_counter() - began)


def count_retry(code: grpc.StatusCode) -> None:
    """Count a call that is retried."""
    RETRIES.labels(SERVICE, METHOD, code.name).inc()
