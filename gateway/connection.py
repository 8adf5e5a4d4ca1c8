"""Connections of clients: responses after a half-close, and a limit of their number.

A client may close its sending side after its requests (`nc -N`) and still read. TCP does
not distinguish that from a client that is gone, so both get their responses. TLS has no
half-close.
"""

import asyncio
import logging
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from gateway.problems import GatewayError, Problem
from schemas.contract import Code
from topics.files import file_limit

MAX_TARGET_BYTES = 8190
MAX_HEADER_BYTES = 8192
MAX_HEADERS = 128
LIMITS: dict[str, Any] = {
    "max_line_size": MAX_TARGET_BYTES,
    "max_field_size": MAX_HEADER_BYTES,
    "max_headers": MAX_HEADERS,
}
MAX_REASON_CHARS = 200

BACKLOG = 1024
MAX_KAFKA_FILES = 100
REFUSED_TIMEOUT_SECONDS = 2.0

_HTTP_2 = "Pause on PRI"
_TOO_MANY = "Too many headers received"

log = logging.getLogger(__name__)


class ConnectionLimit:
    """Limits connections, so that open files remain for Kafka and for refusals.

    Args:
        files: the number of files that the process may have open.

    Attributes:
        backlog: the number of connections that the kernel queues; also the number that
            are refused at the same time. Above it the oldest refused one is aborted.
    """

    def __init__(self, files: int) -> None:
        self.backlog = min(BACKLOG, max(files // 8, 1))
        self._max_served = files - min(MAX_KAFKA_FILES, files // 4) - self.backlog
        self._served = 0
        self._refused: dict[Connection, None] = {}

    @classmethod
    def of_process(cls) -> "ConnectionLimit":
        """Return the limit for the open files of this process."""
        return cls(file_limit())

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
            oldest.abort()
        return False

    def remove(self, connection: "Connection") -> None:
        """Uncount a connection that has ended."""
        if connection.is_refused:
            self._refused.pop(connection, None)
        else:
            self._served -= 1


class Connection(RequestHandler):
    """A connection that stays open for responses after its client's half-close.

    Attributes:
        is_refused: each request gets the problem `overloaded`.
        is_head_cut: the client closed its sending side within the head of a request.
    """

    __slots__ = (
        "_half_closed",
        "_has_received",
        "_limit",
        "_unread",
        "is_head_cut",
        "is_refused",
    )

    def __init__(self, server: web.Server, limit: ConnectionLimit, **options: Any) -> None:  # noqa: ANN401 -- aiohttp's
        super().__init__(server, **options)
        self.is_refused = False
        self.is_head_cut = False
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

    def abort(self) -> None:
        """Close the connection at once."""
        if self.transport is not None:
            self.transport.abort()

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
            self.is_head_cut = True
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
        """Send a response; the last one of a half-closed connection has `close`."""
        if self._close:
            resp.force_close()
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            if self._unread is not None and self._unread.exception() is not None:
                self._unread.feed_eof()  # else aiohttp reads on and logs the exception
            self._unread = None

    def parse_problem(self, error: BaseException | None, message: str | None) -> Problem:
        """Return the problem of a request that can't be parsed."""
        if isinstance(error, LineTooLong):
            _, limit, *_ = error.args
            if limit == MAX_TARGET_BYTES:
                detail = f"a request target has at most {limit} bytes"
                return Problem(GatewayError.URI_TOO_LONG, detail)
            detail = f"a header has at most {limit} bytes, its name included"
            return Problem(GatewayError.HEADERS_TOO_LARGE, detail)
        if message == _TOO_MANY:
            detail = f"a request has at most {MAX_HEADERS} headers"
            return Problem(GatewayError.HEADERS_TOO_LARGE, detail)
        if self.is_head_cut:
            detail = "the request ends within its head, which an empty line must end"
            return Problem(Code.BAD_REQUEST, detail)
        if (message or "").startswith(_HTTP_2):
            return Problem(Code.BAD_REQUEST, "this is HTTP/2; the gateway serves HTTP/1.1")
        reason = " ".join((message or "").split())[:MAX_REASON_CHARS]
        return Problem(Code.BAD_REQUEST, f"this is not HTTP/1.1: {reason}")
