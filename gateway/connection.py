"""Connections of clients: responses after a half-close, problems, and a limit.

A client may close its sending side after its requests (`nc -N`) and still read. TCP does
not distinguish that from a client that is gone, so both get their responses. TLS has no
half-close.
"""

import asyncio
import logging
import resource
from http import HTTPStatus
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.hdrs import SERVER
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from gateway.problems import GatewayError, Problem
from schemas.contract import Code
from topics.kafka.compat import InnerNames

SERVER_NAME = "shop"
MAX_TARGET_BYTES = 8190
MAX_HEADERS = 128
MAX_REASON_CHARS = 200

BACKLOG = 1024
MAX_KAFKA_FILES = 100
REFUSED_TIMEOUT_SECONDS = 2.0
_UNLIMITED_FILES = 2**20
"""The default maximum of Linux."""

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

INNER_NAMES = (
    InnerNames(
        "gateway/connection.py",
        "a client that closes its sending side still reads; aiohttp drops its response",
        {
            "aiohttp.web_protocol:RequestHandler._close": "",
            "aiohttp.web_protocol:RequestHandler._keepalive_timeout": "",
            "aiohttp.web_protocol:RequestHandler._messages": "",
            "aiohttp.web_protocol:RequestHandler._request_count": "",
        },
        "aio-libs/aiohttp#3659",
    ),
)
"""`tests/contract/test_compat.py` holds this table against the installed version."""

log = logging.getLogger(__name__)


class ConnectionLimit:
    """Limits connections, so that open files remain for Kafka and for refusals.

    Attributes:
        backlog: the number of connections that the kernel queues; also the number that
            are refused at the same time. Above it the oldest refused one is aborted.
    """

    def __init__(self) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if files == resource.RLIM_INFINITY:
            files = _UNLIMITED_FILES
        self.backlog = min(BACKLOG, max(files // 8, 1))
        self._max_served = files - min(MAX_KAFKA_FILES, files // 4) - self.backlog
        self._served = 0
        self._refused: dict[Connection, None] = {}

    def is_served(self, connection: "Connection") -> bool:
        """Count a new connection; return whether its requests are served."""
        if self._served < self._max_served:
            self._served += 1
            return True
        self._refused[connection] = None
        log.warning(
            "event=overloaded connections=%d max=%d advice='raise ulimit -n'",
            self._served + len(self._refused),
            self._max_served,
        )
        if len(self._refused) > self.backlog:
            oldest = next(iter(self._refused))
            del self._refused[oldest]
            if oldest.transport is not None:
                oldest.transport.abort()
        return False

    def remove(self, connection: "Connection") -> None:
        """Uncount a connection that has ended."""
        if connection.is_refused:
            self._refused.pop(connection, None)
        else:
            self._served -= 1


class Connection(RequestHandler):
    """A connection that stays open for responses after its client's half-close.

    Its errors are problem documents.

    Attributes:
        is_refused: each request gets the problem `overloaded`.
    """

    def __init__(self, server: web.Server, limit: ConnectionLimit) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **_OPTIONS)
        self.is_refused = False
        self._is_head_cut = False
        self._limit = limit
        self._has_received = False
        self._half_closed = False
        self._unread: StreamReader | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Serve the connection, or refuse it above the limit."""
        if not self._limit.is_served(self):
            self.is_refused = True
            self._keepalive_timeout = REFUSED_TIMEOUT_SECONDS
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Uncount the connection."""
        self._limit.remove(self)
        super().connection_lost(exc)

    def begin(self, payload: StreamReader) -> None:
        """Keep the body of the request that is handled now."""
        self._unread = payload
        self._close_after_last()

    def data_received(self, data: bytes) -> None:
        """Parse received bytes."""
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
        last = self._messages[-1][1] if self._messages else self._unread
        if last is None:
            return False
        if not last.is_eof():
            last.set_exception(web.RequestPayloadError("it ends too early"))
        self._half_closed = True
        self._close_after_last()
        return True

    def _close_after_last(self) -> None:
        if self._half_closed and not self._messages:
            self._close = True

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response; the last one, also at the gateway's end, has `close`.

        Its `Server` header has no version of aiohttp or Python.
        """
        resp.headers[SERVER] = SERVER_NAME
        if self._close:
            resp.force_close()
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            if self._unread is not None and self._unread.exception() is not None:
                self._unread.feed_eof()  # else aiohttp reads on and logs the exception
            self._unread = None

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
