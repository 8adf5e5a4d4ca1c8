"""Checks the headers of HTTP requests and copies some to the Kafka record."""

import re
from collections.abc import Iterator

from aiohttp import HttpVersion11, web
from aiohttp.hdrs import (
    ACCEPT_ENCODING,
    CONTENT_ENCODING,
    EXPECT,
    TRANSFER_ENCODING,
)

from gateway.problems import GatewayError, Problem
from schemas.contract import Code
from topics.kafka.headers import IDEMPOTENCY_KEY, TRACE

_KEY = re.compile(r"[!-~]{1,128}")  # visible ASCII
_MAX_SHOWN = 100


def check_headers(request: web.BaseRequest) -> None:
    """Check the headers that describe the body.

    Raises:
        Problem: UNSUPPORTED_ENCODING, UNSUPPORTED_TRANSFER or EXPECTATION_FAILED.
    """
    if encodings := _listed(request, CONTENT_ENCODING) - {"identity"}:
        detail = (
            f"Content-Encoding {_shown(encodings)}: encoded bodies are not supported;"
            " send plain JSON"
        )
        identity = {str(ACCEPT_ENCODING): "identity"}
        raise Problem(GatewayError.UNSUPPORTED_ENCODING, detail, identity)
    if codings := _listed(request, TRANSFER_ENCODING) - {"chunked"}:
        detail = f"Transfer-Encoding {_shown(codings)}: only chunked is supported"
        raise Problem(GatewayError.UNSUPPORTED_TRANSFER, detail)
    if request.version < HttpVersion11:  # RFC 9110, 10.1.1: no expectations
        return
    if expectations := _listed(request, EXPECT) - {"100-continue"}:
        detail = f"Expect {_shown(expectations)}: only 100-continue is supported"
        raise Problem(GatewayError.EXPECTATION_FAILED, detail)


def _listed(request: web.BaseRequest, name: str) -> set[str]:
    """Return the values of a header that is a list, in lower case."""
    lines = request.headers.getall(name, ())
    values = {value.strip().lower() for line in lines for value in line.split(",")}
    return values - {""}


def _shown(values: set[str]) -> str:
    return ", ".join(sorted(values))[:_MAX_SHOWN]


def propagated_headers(request: web.BaseRequest) -> list[tuple[str, bytes]]:
    """Return the record headers that the client's request sets.

    Raises:
        Problem: BAD_REQUEST for an invalid idempotency key.
    """
    return [*_idempotency_key(request), *_trace(request)]


def _idempotency_key(request: web.BaseRequest) -> Iterator[tuple[str, bytes]]:
    values = request.headers.getall(IDEMPOTENCY_KEY, ())
    if not values:
        return
    key = _unquoted(values[0])
    if len(values) > 1 or not _KEY.fullmatch(key):
        detail = (
            "Idempotency-Key must be given once, with 1 to 128 visible ASCII characters"
        )
        raise Problem(Code.BAD_REQUEST, detail)
    yield IDEMPOTENCY_KEY, key.encode()


def _unquoted(key: str) -> str:
    """Return the key without the quotes of a structured field, which some clients send."""
    quoted = len(key) > 1 and key[0] == key[-1] == '"'
    return key[1:-1] if quoted else key


def _trace(request: web.BaseRequest) -> Iterator[tuple[str, bytes]]:
    for name in TRACE:
        if value := request.headers.get(name):
            yield name, value.encode(errors="surrogateescape")
