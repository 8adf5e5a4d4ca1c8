"""The HTTP server: aiohttp's low-level one, whose responses are all ours."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import ERROR, RequestHandler

from gateway.app import Gateway
from gateway.connection import Connection, ConnectionLimit
from gateway.problems import GatewayError, Problem
from gateway.settings import Settings

GRACE_SECONDS = 2.0  # after the reply timeout, to write the last responses

log = logging.getLogger(__name__)


class _Server(web.Server):
    def __init__(self, gateway: Gateway, limit: ConnectionLimit) -> None:
        super().__init__(self._respond, request_factory=_request)
        self._gateway = gateway
        self._limit = limit

    def __call__(self) -> Connection:
        return Connection(self, self._limit)

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        if isinstance(request.protocol, Connection) and request.protocol.is_refused:
            detail = "too many connections are open"
            response = Problem(GatewayError.OVERLOADED, detail).response()
            response.force_close()
            return response
        return await self._gateway(request)


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: "asyncio.Task[None]",
) -> web.BaseRequest:
    if isinstance(protocol, Connection):
        protocol.begin(payload)
    if message is ERROR:  # can't be parsed; its response is HTTP/1.1
        message = ERROR._replace(version=HttpVersion11)
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop)


@asynccontextmanager
async def serving(gateway: Gateway, settings: Settings) -> AsyncIterator[int]:
    """Serve HTTP and yield the port; at the end finish the calls in flight."""
    grace = settings.reply_timeout_seconds + GRACE_SECONDS
    limit = ConnectionLimit()
    runner = web.ServerRunner(_Server(gateway, limit), shutdown_timeout=grace)
    await runner.setup()
    host, port, tls = settings.gateway_host, settings.gateway_port, settings.tls()
    try:
        site = web.TCPSite(runner, host, port, backlog=limit.backlog, ssl_context=tls)
        await site.start()
        host, port = runner.addresses[0][:2]
        log.info("event=listening host=%s port=%d tls=%s", host, port, bool(tls))
        hosts = sorted(address[0] for address in runner.addresses)
        exposed = [host for host in hosts if not ip_address(host).is_loopback]
        if exposed and not settings.gateway_tokens:
            log.warning(
                "event=open-door hosts=%s reason='each client may make every call'"
                " advice='set GATEWAY_TOKENS'",
                ",".join(exposed),
            )
        yield port
        log.info("event=draining")
    finally:
        await runner.cleanup()
