"""The HTTP server: aiohttp's low-level one, whose responses are all ours.

A client may close its sending side after its requests (`nc -N`) and still read. TCP does
not distinguish that from a client that is gone, so both get their responses. TLS has no
half-close.
"""

import asyncio
import logging
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.hdrs import SERVER
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import ERROR, RequestHandler

from gateway.app import Gateway
from gateway.problems import GatewayError, Problem
from gateway.settings import Settings
from schemas.contract import Code

MAX_TARGET_BYTES = 8190
MAX_HEADERS = 128
MAX_REASON_CHARS = 200

BACKLOG = 1024
MAX_KAFKA_FILES = 100
_UNLIMITED_FILES = 2**20
"""The default maximum of Linux."""

REFUSED_TIMEOUT_SECONDS = 2.0
GRACE_SECONDS = 2.0  # after the reply timeout, to write the last responses

_OPTIONS: dict[str, Any] = {
    "access_log": None,
    "auto_decompress": False,
    "keepalive_timeout": 75.0,
    # A client that still sends would not read the refusal of a connection closed at once.
    "lingering_time": 2.0,
    "max_field_size": 8192,
    "max_headers": MAX_HEADERS,
    "max_line_size": MAX_TARGET_BYTES,
}


log = logging.getLogger(__name__)


class _Server(web.Server):
    """Serves connections up to a limit, so that open files remain for Kafka.

    Attributes:
        backlog: the number of connections that the kernel queues; also the number that
            are refused at the same time. Above it the oldest refused one is aborted.
    """

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(self._respond, request_factory=_request)
        self._gateway = gateway
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if files == resource.RLIM_INFINITY:
            files = _UNLIMITED_FILES
        self.backlog = min(BACKLOG, max(files // 8, 1))
        self._max_served = files - min(MAX_KAFKA_FILES, files // 4) - self.backlog
        self._served: set[RequestHandler] = set()
        self._refused: dict[RequestHandler, asyncio.Transport] = {}

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=asyncio.get_running_loop(), **_OPTIONS)

    def connection_made(
        self, handler: RequestHandler, transport: asyncio.Transport
    ) -> None:
        super().connection_made(handler, transport)
        if len(self._served) < self._max_served:
            self._served.add(handler)
            return
        handler._keepalive_timeout = REFUSED_TIMEOUT_SECONDS  # noqa: SLF001
        self._refused[handler] = transport
        log.warning(
            "event=overloaded connections=%d max=%d advice='raise ulimit -n'",
            len(self._served) + len(self._refused),
            self._max_served,
        )
        if len(self._refused) > self.backlog:
            self._refused.pop(next(iter(self._refused))).abort()

    def connection_lost(
        self, handler: RequestHandler, exc: BaseException | None = None
    ) -> None:
        self._served.discard(handler)
        self._refused.pop(handler, None)
        super().connection_lost(handler, exc)

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.protocol in self._served:
            return await self._gateway(request)
        detail = "too many connections are open"
        response = Problem(GatewayError.OVERLOADED, detail).response()
        response.force_close()
        return response


class _Connection(RequestHandler):
    """A connection that stays open for responses after its client's half-close.

    Its errors are problem documents.

    Attributes:
        body: of the request that is handled now.
    """

    body: StreamReader | None = None
    _has_received = False
    _is_head_cut = False
    _half_closed = False

    def data_received(self, data: bytes) -> None:
        self._has_received = True
        super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override] # asyncio takes a bool
        """Return whether the transport stays open for responses."""
        if self.ssl_context is not None:
            return False
        if self._has_received and not self._request_count:
            # No request is complete. A zero byte makes the parser report an error.
            self._is_head_cut = True
            self.data_received(b"\0")
        last = self._messages[-1][1] if self._messages else self.body
        if last is None:
            return False
        if not last.is_eof():
            last.set_exception(web.RequestPayloadError("it ends too early"))
        self._half_closed = True
        self._close = self._close or not self._messages
        return True

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response; the last one, also at the gateway's end, has `close`."""
        resp.headers[SERVER] = "shop"  # without versions of aiohttp and Python
        if self._close or (self._half_closed and not self._messages):
            resp.force_close()
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            if self.body is not None and self.body.exception() is not None:
                self.body.feed_eof()  # else aiohttp reads on and logs the exception
            self.body = None

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
            problem = self._parse_problem(exc, message or "")
        else:
            log.error("event=unexpected path=%s", request.path, exc_info=exc)
            detail = "unexpected error; the gateway has logged it"
            problem = Problem(GatewayError.INTERNAL, detail)
        response = problem.response()
        response.force_close()
        return response

    def _parse_problem(self, error: BaseException | None, message: str) -> Problem:
        code: GatewayError | Code = GatewayError.HEADERS_TOO_LARGE
        if isinstance(error, LineTooLong):
            detail = f"a header has at most {error.args[1]} bytes, its name included"
            if error.args[1] == MAX_TARGET_BYTES:
                code = GatewayError.URI_TOO_LONG
                detail = f"a request target has at most {MAX_TARGET_BYTES} bytes"
        elif message == "Too many headers received":
            detail = f"a request has at most {MAX_HEADERS} headers"
        else:
            code = Code.BAD_REQUEST
            detail = f"this is not HTTP/1.1: {' '.join(message.split())[:MAX_REASON_CHARS]}"
            if self._is_head_cut:
                detail = "the request ends within its head, which an empty line must end"
            elif message.startswith("Pause on PRI"):
                detail = "this is HTTP/2; the gateway serves HTTP/1.1"
        return Problem(code, detail)


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: "asyncio.Task[None]",
) -> web.BaseRequest:
    if isinstance(protocol, _Connection):
        protocol.body = payload
    if message is ERROR:  # can't be parsed; its response is HTTP/1.1
        message = ERROR._replace(version=HttpVersion11)
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop)


@asynccontextmanager
async def serving(gateway: Gateway, settings: Settings) -> AsyncIterator[int]:
    """Serve HTTP and yield the port; at the end finish the calls in flight."""
    server = _Server(gateway)
    grace = settings.reply_timeout_seconds + GRACE_SECONDS
    runner = web.ServerRunner(server, shutdown_timeout=grace)
    await runner.setup()
    host, port, tls = settings.gateway_host, settings.gateway_port, settings.tls()
    try:
        site = web.TCPSite(runner, host, port, backlog=server.backlog, ssl_context=tls)
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
