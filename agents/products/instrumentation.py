"""One call to ProductService as Prometheus and traces see it."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import grpc
from prometheus_client import Counter, Histogram

from topics.kafka.headers import LOG_CONTEXT, TRACE
from topics.telemetry import tracing

SERVICE, METHOD = "route256.product.ProductService", "GetProduct"
BY = ("grpc_service", "grpc_method", "grpc_code")

SECONDS = Histogram(
    "grpc_client_handling_seconds",
    "From a call to its answer, each attempt on its own.",
    BY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2),
)
RETRIES = Counter("grpc_client_retries_total", "Calls made again, by the failure.", BY)

Metadata = tuple[tuple[str, str], ...]


@contextmanager
def client_span() -> Iterator[Metadata]:
    """Time a call, and make a span of it; yields what the call says of the trace."""
    began, code = perf_counter(), grpc.StatusCode.CANCELLED
    about = {"rpc.system": "grpc", "rpc.service": SERVICE, "rpc.method": METHOD}
    name = f"{SERVICE}/{METHOD}"
    try:
        with tracing.span(name, "CLIENT", LOG_CONTEXT.get(), about) as headers:
            yield _metadata(headers)
        code = grpc.StatusCode.OK
    except grpc.aio.AioRpcError as error:
        code = error.code()
        raise
    finally:
        SECONDS.labels(SERVICE, METHOD, code.name).observe(perf_counter() - began)


def count_retry(code: grpc.StatusCode) -> None:
    """Count a call that is to be made again."""
    RETRIES.labels(SERVICE, METHOD, code.name).inc()


def _metadata(headers: tracing.Headers) -> Metadata:
    # What a caller has sent us may be anything, and gRPC would refuse to send it.
    ours = headers if tracing.is_on() else ()
    return tuple((name, value.decode()) for name, value in ours if name in TRACE)
