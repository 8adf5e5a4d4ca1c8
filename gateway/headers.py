"""The headers of an HTTP request that ride along on its record."""

import re
from collections.abc import Iterator

from aiohttp import web

from gateway.problems import Problem
from schemas.contract import Code
from topics.conversation import IDEMPOTENCY_KEY, TRACE

_KEY = re.compile(r"[!-~]{1,128}")  # visible ASCII


def passed_on(request: web.BaseRequest) -> list[tuple[str, bytes]]:
    """Return the record's headers that are up to the caller.

    Raises:
        Problem: BAD_REQUEST, the idempotency key is none.
    """
    return [*_idempotency_key(request), *_trace(request)]


def _idempotency_key(request: web.BaseRequest) -> Iterator[tuple[str, bytes]]:
    given = request.headers.getall(IDEMPOTENCY_KEY, ())
    if not given:
        return
    key = _unquoted(given[0])
    if len(given) > 1 or not _KEY.fullmatch(key):
        detail = (
            "Idempotency-Key must be given once, with 1 to 128 visible ASCII characters"
        )
        raise Problem(Code.BAD_REQUEST, detail)
    yield IDEMPOTENCY_KEY, key.encode()


def _unquoted(key: str) -> str:
    """Return the key itself: some clients send it as a structured field, in quotes."""
    quoted = len(key) > 1 and key[0] == key[-1] == '"'
    return key[1:-1] if quoted else key


def _trace(request: web.BaseRequest) -> Iterator[tuple[str, bytes]]:
    for name in TRACE:
        if value := request.headers.get(name):
            yield name, value.encode(errors="surrogateescape")
