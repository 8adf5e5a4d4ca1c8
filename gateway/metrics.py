"""The metrics of a gateway, for Prometheus: at /metrics."""

from aiohttp import web
from prometheus_client import (
    REGISTRY,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

disable_created_metrics()  # they double the number of series

BY = ("call", "outcome")
REQUESTS = Counter("http_requests_total", "Requests that were answered.", BY)
SECONDS = Histogram(
    "http_request_duration_seconds",
    "Time from the head of a request to the end of its response.",
    BY,
    buckets=(0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 1, 2.5, 5, 10),
)
IN_FLIGHT = Gauge("http_requests_in_flight", "Requests that wait for their response.")

OK = "ok"
UNEXPECTED = "internal"


async def exposition(request: web.BaseRequest) -> web.Response:
    """Return all metrics, in the format that the client accepts."""
    encode, media_type = choose_encoder(request.headers.get("Accept", ""))
    return web.Response(body=encode(REGISTRY), headers={"Content-Type": media_type})
