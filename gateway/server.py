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
from schemas.contract import Code

KEEP_ALIVE = timedelta(seconds=75)
GRACE = timedelta(seconds=2)  # beyond the reply timeout, to write the last responses

_OPTIONS: dict[str, Any] = {
    "access_log": None,
    "auto_decompress": False,
    "keepalive_timeout": KEEP_ALIVE.total_seconds(),
}

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
            problem = Problem(Code.BAD_REQUEST, f"this is not HTTP: {message}"[:300])
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
async def serving(
    gateway: Gateway, host: str, port: int, patience: timedelta
) -> AsyncIterator[int]:
    """Serve HTTP, and yield the port; at the end let those who wait have their answer."""
    runner = web.ServerRunner(
        _Server(gateway), shutdown_timeout=(patience + GRACE).total_seconds()
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
        _, bound, *_ = runner.addresses[0]
        log.info("event=listening host=%s port=%d", host, bound)
        yield bound
        log.info("event=draining")
    finally:
        await runner.cleanup()
