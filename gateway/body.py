"""From the bytes of an HTTP body to a contract, or to the reason why not."""

import asyncio
from datetime import timedelta

from aiohttp import HttpVersion11, web
from aiohttp.hdrs import EXPECT
from pydantic import ValidationError

from gateway.headers import check_headers
from gateway.problems import GatewayError, Problem
from gateway.routes import Route
from schemas.contract import Code, Contract
from schemas.explanation import TYPE_IS_NO_FIELD, Explanation

MAX_BODY_BYTES = 2**20

_EXPLANATION = Explanation("the body")


class BodyReader:
    """Takes bodies off the wire, so many slow ones at a time and no more.

    Args:
        limit: bodies that may still be arriving at the same time.
        patience: how long each of them may take.
    """

    def __init__(self, limit: int, patience: timedelta) -> None:
        self._limit = limit
        self._patience = patience.total_seconds()
        self._arriving = 0

    async def read(self, request: web.BaseRequest) -> bytes:
        """Return the whole body.

        Raises:
            Problem: TOO_LARGE, TOO_SLOW, OVERLOADED, or BAD_REQUEST for broken chunks; an
                encoding or an expectation that is not supported.
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
            async with asyncio.timeout(self._patience):
                await _send_continue(request)
                return await _read(request)
        except TimeoutError:
            detail = f"the body did not arrive within {self._patience:g} s"
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
            Code.BAD_REQUEST, "the client left before its body was here"
        ) from None


async def _send_continue(request: web.BaseRequest) -> None:
    """Tell a client that waits for it (curl with a large body) to send the body."""
    if request.headers.get(EXPECT) and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # it is no part of the response


def _too_large() -> Problem:
    return Problem(GatewayError.TOO_LARGE, f"a body has at most {MAX_BODY_BYTES} bytes")


def parse(route: Route, body: bytes) -> Contract:
    """Make a body the contract of its route.

    Raises:
        Problem: BAD_REQUEST, naming each wrong field as it is named on the wire.
    """
    try:
        asked = route.request_adapter.decode(body)
    except ValidationError as wrong:
        raise Problem(Code.BAD_REQUEST, _EXPLANATION.explain(wrong, body)) from None
    if "type" in asked.model_fields_set:
        # Over Kafka it tells requests apart; here the path does.
        raise Problem(Code.BAD_REQUEST, TYPE_IS_NO_FIELD)
    return asked
