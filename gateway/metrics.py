"""What a gateway counts, for Prometheus: at /metrics."""

from aiohttp import web
from prometheus_client import (
    REGISTRY,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

disable_created_metrics()  # series that tell when others began; twice as many for nothing

BY = ("call", "outcome")
REQUESTS = Counter("http_requests_total", "Requests that were answered.", BY)
SECONDS = Histogram(
    "http_request_duration_seconds",
    "From a request's head to its whole answer.",
    BY,
    buckets=(0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 1, 2.5, 5, 10),
)
IN_FLIGHT = Gauge("http_requests_in_flight", "Requests that wait for their answer.")

OK = "ok"
UNEXPECTED = "internal"


async def exposition(request: web.BaseRequest) -> web.Response:
    """Tell all of it, in the format that is asked for."""
    encode, kind = choose_encoder(request.headers.get("Accept", ""))
    return web.Response(body=encode(REGISTRY), headers={"Content-Type": kind})
