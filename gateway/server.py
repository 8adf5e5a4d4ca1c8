"""The HTTP server: aiohttp's low-level one, which never answers but through us."""

import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

from aiohttp import web
from aiohttp.hdrs import SERVER
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
SERVER_NAME = "shop"

log = logging.getLogger(__name__)


class _Connection(RequestHandler):
    """A client's connection, whose errors are problem documents like all others."""

    __slots__ = ()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response; its `Server` header has no version of aiohttp or Python."""
        resp.headers[SERVER] = SERVER_NAME
        return await super().finish_response(request, resp, start_time)

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
        tls = settings.tls()
        await web.TCPSite(runner, host, port, backlog=BACKLOG, ssl_context=tls).start()
        host, port = runner.addresses[0][:2]
        log.info("event=listening host=%s port=%d tls=%s", host, port, bool(tls))
        if not settings.gateway_tokens:
            _warn_of_open_door(address[0] for address in runner.addresses)
        yield port
        log.info("event=draining")
        gateway.draining = True
    finally:
        await runner.cleanup()


def _warn_of_open_door(hosts: Iterable[str]) -> None:
    if exposed := sorted(host for host in hosts if not ip_address(host).is_loopback):
        log.warning(
            "event=open-door hosts=%s reason='each client may make every call'"
            " advice='GATEWAY_TOKENS locks it'",
            ",".join(exposed),
        )
