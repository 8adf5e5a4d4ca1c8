"""The HTTP server: aiohttp's low-level one, whose responses are all ours."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.hdrs import SERVER
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import ERROR, RequestHandler

from gateway.app import Gateway
from gateway.connection import LIMITS, Connection, ConnectionLimit
from gateway.problems import GatewayError, Problem
from gateway.settings import Settings

KEEP_ALIVE = timedelta(seconds=75)
# A client that still sends would not read the refusal of a connection closed at once.
LINGERING = timedelta(seconds=2)
GRACE = timedelta(seconds=2)  # after the reply timeout, to write the last responses

_OPTIONS: dict[str, Any] = {
    **LIMITS,
    "access_log": None,
    "auto_decompress": False,
    "keepalive_timeout": KEEP_ALIVE.total_seconds(),
    "lingering_time": LINGERING.total_seconds(),
}

SERVER_NAME = "shop"
UNPARSED = ERROR._replace(version=HttpVersion11)
"""The message of a request that can't be parsed; the response is HTTP/1.1."""

log = logging.getLogger(__name__)


class _Connection(Connection):
    """A client's connection, whose errors are problem documents."""

    __slots__ = ()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response, whose `Server` header has no version of aiohttp or Python."""
        resp.headers[SERVER] = SERVER_NAME
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the problem of a request that is not HTTP, or of an unexpected error."""
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun")
        if status == HTTPStatus.BAD_REQUEST:
            problem = self.parse_problem(exc, message)
        else:
            log.error("event=unexpected path=%s", request.path, exc_info=exc)
            problem = Problem(
                GatewayError.INTERNAL, "unexpected error; the gateway has logged it"
            )
        response = problem.response()
        response.force_close()
        return response


class _Server(web.Server):
    def __init__(self, gateway: Gateway, limit: ConnectionLimit) -> None:
        super().__init__(self._respond)
        self._gateway = gateway
        self._limit = limit

    def __call__(self) -> RequestHandler:
        return _Connection(self, self._limit, loop=self._loop, **_OPTIONS)

    def _make_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        if isinstance(protocol, Connection):
            protocol.begin(payload)
        message = UNPARSED if message is ERROR else message
        return super()._make_request(message, payload, protocol, writer, task)

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        if isinstance(connection, Connection) and connection.is_refused:
            detail = "too many connections are open"
            response = Problem(GatewayError.OVERLOADED, detail).response()
            response.force_close()
            return response
        return await self._gateway(request)


@asynccontextmanager
async def serving(gateway: Gateway, settings: Settings) -> AsyncIterator[int]:
    """Serve HTTP and yield the port; at the end finish the calls in flight."""
    grace = (settings.reply_timeout + GRACE).total_seconds()
    limit = ConnectionLimit.of_process()
    runner = web.ServerRunner(_Server(gateway, limit), shutdown_timeout=grace)
    await runner.setup()
    host, port = settings.gateway_host, settings.gateway_port
    try:
        tls = settings.tls()
        await web.TCPSite(
            runner, host, port, backlog=limit.backlog, ssl_context=tls
        ).start()
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
            " advice='set GATEWAY_TOKENS'",
            ",".join(exposed),
        )
