"""Reads the body of an HTTP request and decodes it as a contract."""

import asyncio
from datetime import timedelta

from aiohttp import HttpVersion11, web
from aiohttp.hdrs import EXPECT
from pydantic import ValidationError

from gateway.headers import check_headers
from gateway.problems import GatewayError, Problem
from gateway.routes import Route
from schemas.contract import Code, Contract
from schemas.explanation import TYPE_IS_NO_FIELD, explain

MAX_BODY_BYTES = 2**20


class BodyReader:
    """Reads bodies, up to a limit of slow ones at the same time.

    Args:
        limit: the number of bodies that may be incomplete at the same time.
        timeout: the time that each of them may take.
    """

    def __init__(self, limit: int, timeout: timedelta) -> None:
        self._limit = limit
        self._timeout = timeout.total_seconds()
        self._arriving = 0

    async def read(self, request: web.BaseRequest) -> bytes:
        """Return the whole body.

        Raises:
            Problem: TOO_LARGE, TOO_SLOW, OVERLOADED, BAD_REQUEST for broken chunks; or
                as `check_headers`.
        """
        check_headers(request)
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise _too_large()
        if request.content.is_eof():
            return await _read(request)
        if self._arriving >= self._limit:
            raise Problem(GatewayError.OVERLOADED, "too many bodies are still arriving")
        self._arriving += 1
        try:
            async with asyncio.timeout(self._timeout):
                await _send_continue(request)
                return await _read(request)
        except TimeoutError:
            detail = f"the body did not arrive within {self._timeout:g} s"
            raise Problem(GatewayError.TOO_SLOW, detail) from None
        finally:
            self._arriving -= 1


async def _read(request: web.BaseRequest) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large() from None
    except web.RequestPayloadError as broken:
        raise Problem(Code.BAD_REQUEST, f"the body is broken: {broken}") from None
    except ConnectionError:
        raise Problem(
            Code.BAD_REQUEST, "the client disconnected before its body was complete"
        ) from None


async def _send_continue(request: web.BaseRequest) -> None:
    """Send `100 Continue` to a client that waits for it, as curl with a large body."""
    if request.headers.get(EXPECT) and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # this line is not part of the response


def _too_large() -> Problem:
    return Problem(GatewayError.TOO_LARGE, f"a body has at most {MAX_BODY_BYTES} bytes")


def parse(route: Route, body: bytes) -> Contract:
    """Decode a body as the request of a route.

    Raises:
        Problem: BAD_REQUEST, with each invalid field by its name on the wire.
    """
    try:
        message = route.request_adapter.decode(body)
    except ValidationError as error:
        raise Problem(Code.BAD_REQUEST, explain(error, body, "the body")) from None
    if "type" in message.model_fields_set:
        # Over Kafka `type` selects the request; over HTTP the path does.
        raise Problem(Code.BAD_REQUEST, TYPE_IS_NO_FIELD)
    return message
