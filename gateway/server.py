"""The HTTP server: aiohttp's low-level one, which never answers but through us."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateway.app import Gateway
from gateway.problems import Problem, Trouble
from gateway.settings import Settings
from schemas.contract import Code

KEEP_ALIVE = timedelta(seconds=75)
# A client that still sends what is refused would not see why if we hung up at once.
LINGERING = timedelta(seconds=2)
GRACE = timedelta(seconds=2)  # beyond the reply timeout, to write the last responses

_OPTIONS: dict[str, Any] = {
    "access_log": None,
    "auto_decompress": False,
    "keepalive_timeout": KEEP_ALIVE.total_seconds(),
    "lingering_time": LINGERING.total_seconds(),
}

BACKLOG = 1024
MAX_REASON_CHARS = 200

log = logging.getLogger(__name__)


class _Connection(RequestHandler):
    """A client's connection, whose errors are problem documents like all others."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is not HTTP, and what the gateway did not expect."""
        if request.writer.output_size > 0:
            raise ConnectionError("the response is under way already")
        if status == HTTPStatus.BAD_REQUEST:
            reason = " ".join((message or "").split())[:MAX_REASON_CHARS]
            problem = Problem(Code.BAD_REQUEST, f"this is not HTTP: {reason}")
        else:
            log.error("event=unexpected path=%s", request.path, exc_info=exc)
            problem = Problem(Trouble.INTERNAL, "this is our fault and has been logged")
        response = problem.response()
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **_OPTIONS)


@asynccontextmanager
async def serving(gateway: Gateway, settings: Settings) -> AsyncIterator[int]:
    """Serve HTTP, yield the port; at the end take nothing new, answer those who wait."""
    grace = (settings.patience + GRACE).total_seconds()
    runner = web.ServerRunner(_Server(gateway), shutdown_timeout=grace)
    await runner.setup()
    host, port = settings.gateway_host, settings.gateway_port
    try:
        await web.TCPSite(runner, host, port, backlog=BACKLOG).start()
        host, port = runner.addresses[0][:2]
        log.info("event=listening host=%s port=%d", host, port)
        yield port
        log.info("event=draining")
        gateway.draining = True
    finally:
        await runner.cleanup()
