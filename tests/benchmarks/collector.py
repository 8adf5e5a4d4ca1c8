"""A collector of traces that discards all spans."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def endpoint() -> AsyncIterator[str]:
    """Listen on a free port; yield the value of `OTEL_EXPORTER_OTLP_ENDPOINT`."""
    runner = web.ServerRunner(web.Server(_take))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield "http://{}:{}".format(*runner.addresses[0])
    await runner.cleanup()


async def _take(request: web.BaseRequest) -> web.Response:
    await request.read()
    return web.Response(content_type="application/x-protobuf")
