"""Reads HTTP requests: checks their headers, reads and decodes their bodies."""

import asyncio
import re

from aiohttp import HttpVersion11, web
from aiohttp.hdrs import CONTENT_ENCODING, EXPECT, TRANSFER_ENCODING
from pydantic import ValidationError

from gateway.problems import GatewayError, Problem
from gateway.routes import ROUTES, Route
from gateway.settings import Settings
from schemas.contract import Code, Contract
from schemas.decoder import TYPE_IS_NO_FIELD, Decoder, explain
from topics.kafka.headers import IDEMPOTENCY_KEY, KEY_PATTERN, TRACE

MAX_BODY_BYTES = 2**20

_KEY = re.compile(KEY_PATTERN)
_MAX_SHOWN = 100
_TOO_LARGE = GatewayError.TOO_LARGE, f"a body has at most {MAX_BODY_BYTES} bytes"
_DECODERS = {route.request: Decoder(route.request) for route in ROUTES}


class BodyReader:
    """Reads bodies, up to a limit of slow ones at the same time."""

    def __init__(self, settings: Settings) -> None:
        self._limit = settings.max_in_flight
        self._timeout = settings.reply_timeout_seconds
        self._arriving = 0

    async def read(self, request: web.BaseRequest) -> bytes:
        """Return the whole body.

        Raises:
            Problem: TOO_LARGE, TOO_SLOW, OVERLOADED, BAD_REQUEST for broken chunks; or
                UNSUPPORTED_ENCODING, UNSUPPORTED_TRANSFER, EXPECTATION_FAILED for headers.
        """
        _check_headers(request)
        try:
            if request.content.is_eof():
                return await request.read()
            return await self._read_slowly(request)
        except web.HTTPRequestEntityTooLarge:
            raise Problem(*_TOO_LARGE) from None
        except web.RequestPayloadError as broken:
            raise Problem(Code.BAD_REQUEST, f"the body is broken: {broken}") from None
        except ConnectionError:
            detail = "the client disconnected before its body was complete"
            raise Problem(Code.BAD_REQUEST, detail) from None

    async def _read_slowly(self, request: web.BaseRequest) -> bytes:
        if self._arriving >= self._limit:
            raise Problem(GatewayError.OVERLOADED, "too many bodies are still arriving")
        self._arriving += 1
        try:
            async with asyncio.timeout(self._timeout):
                if request.headers.get(EXPECT) and request.version >= HttpVersion11:
                    # The client waits for it, as curl with a large body.
                    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    request.writer.output_size = 0  # this is not part of the response
                return await request.read()
        except TimeoutError:
            detail = f"the body did not arrive within {self._timeout:g} s"
            raise Problem(GatewayError.TOO_SLOW, detail) from None
        finally:
            self._arriving -= 1


def _check_headers(request: web.BaseRequest) -> None:
    if encodings := _others(request, CONTENT_ENCODING, "identity"):
        raise Problem(
            GatewayError.UNSUPPORTED_ENCODING,
            f"{encodings}: encoded bodies are not supported; send plain JSON",
            {"Accept-Encoding": "identity"},
        )
    if codings := _others(request, TRANSFER_ENCODING, "chunked"):
        detail = f"{codings}: only chunked is supported"
        raise Problem(GatewayError.UNSUPPORTED_TRANSFER, detail)
    if request.version >= HttpVersion11 and (  # RFC 9110, 10.1.1: HTTP/1.0 has none
        expectations := _others(request, EXPECT, "100-continue")
    ):
        detail = f"{expectations}: only 100-continue is supported"
        raise Problem(GatewayError.EXPECTATION_FAILED, detail)
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise Problem(*_TOO_LARGE)


def _others(request: web.BaseRequest, name: str, supported: str) -> str:
    """Return a header that is a list with its unsupported values; empty without such."""
    lines = request.headers.getall(name, ())
    values = {value.strip().lower() for line in lines for value in line.split(",")}
    others = ", ".join(sorted(values - {"", supported}))
    return f"{name} {others[:_MAX_SHOWN]}" if others else ""


def parse(route: Route, body: bytes) -> Contract:
    """Decode a body as the request of a route.

    Raises:
        Problem: BAD_REQUEST, with each invalid field by its name on the wire.
    """
    try:
        message = _DECODERS[route.request].decode(body)
    except ValidationError as error:
        raise Problem(Code.BAD_REQUEST, explain(error, body, "the body")) from None
    if "type" in message.model_fields_set:
        # Over Kafka `type` selects the request; over HTTP the path does.
        raise Problem(Code.BAD_REQUEST, TYPE_IS_NO_FIELD)
    return message


def propagated_headers(request: web.BaseRequest) -> list[tuple[str, bytes]]:
    """Return the record headers that the client's request sets.

    Raises:
        Problem: BAD_REQUEST for an invalid idempotency key.
    """
    headers = [
        (name, value.encode(errors="surrogateescape"))
        for name in TRACE
        if (value := request.headers.get(name))
    ]
    if keys := request.headers.getall(IDEMPOTENCY_KEY, ()):
        headers.append((IDEMPOTENCY_KEY, _idempotency_key(*keys)))
    return headers


def _idempotency_key(key: str, *more: str) -> bytes:
    if len(key) > 1 and key[0] == key[-1] == '"':  # a structured field of some clients
        key = key[1:-1]
    if more or not _KEY.fullmatch(key):
        detail = (
            "Idempotency-Key must be given once, with 1 to 128 visible ASCII characters"
        )
        raise Problem(Code.BAD_REQUEST, detail)
    return key.encode()
