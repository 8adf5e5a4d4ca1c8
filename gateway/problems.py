"""What goes wrong, as HTTP: problem documents (RFC 9457) for every error there is."""

import json
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from aiohttp import web

from schemas.contract import Code

RETRY_AFTER_SECONDS = 1


class Trouble(StrEnum):
    """What can go wrong at this door itself, beside the refusals of the shop."""

    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    TOO_LARGE = "too-large"
    TOO_SLOW = "request-timeout"
    URI_TOO_LONG = "uri-too-long"
    UNSUPPORTED_ENCODING = "unsupported-encoding"
    EXPECTATION_FAILED = "expectation-failed"
    HEADERS_TOO_LARGE = "headers-too-large"
    UNSUPPORTED_TRANSFER = "unsupported-transfer-encoding"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Kind:
    """What all problems of one code have in common."""

    status: HTTPStatus
    title: str


KINDS: dict[Code | Trouble, Kind] = {
    Code.BAD_REQUEST: Kind(HTTPStatus.BAD_REQUEST, "The request makes no sense"),
    Code.UNKNOWN_ORDER: Kind(HTTPStatus.NOT_FOUND, "There is no such order"),
    Code.INSUFFICIENT_STOCK: Kind(HTTPStatus.CONFLICT, "There is not enough in stock"),
    Code.CART_EMPTY: Kind(HTTPStatus.CONFLICT, "The cart is empty"),
    Code.CART_FULL: Kind(HTTPStatus.CONFLICT, "The cart takes no more lines"),
    Code.WRONG_STATUS: Kind(HTTPStatus.CONFLICT, "The order's status does not allow it"),
    Code.COUNT_TOO_LARGE: Kind(HTTPStatus.CONFLICT, "The count would become too large"),
    Code.TOTAL_TOO_LARGE: Kind(HTTPStatus.CONFLICT, "The total would become too large"),
    Code.KEY_REUSED: Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY, "The idempotency key stands for another request"
    ),
    Code.UNKNOWN_PRODUCT: Kind(HTTPStatus.BAD_GATEWAY, "ProductService lacks a product"),
    Code.PRODUCT_SERVICE: Kind(HTTPStatus.BAD_GATEWAY, "ProductService failed"),
    Code.UNAVAILABLE: Kind(HTTPStatus.SERVICE_UNAVAILABLE, "The shop can't be reached"),
    Trouble.UNAUTHORIZED: Kind(HTTPStatus.UNAUTHORIZED, "A token is needed"),
    Trouble.FORBIDDEN: Kind(HTTPStatus.FORBIDDEN, "The token's role is not enough"),
    Trouble.NOT_FOUND: Kind(HTTPStatus.NOT_FOUND, "There is no such path"),
    Trouble.METHOD_NOT_ALLOWED: Kind(
        HTTPStatus.METHOD_NOT_ALLOWED, "This path takes another method"
    ),
    Trouble.TOO_LARGE: Kind(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request is too large"
    ),
    Trouble.TOO_SLOW: Kind(HTTPStatus.REQUEST_TIMEOUT, "The request came too slowly"),
    Trouble.URI_TOO_LONG: Kind(
        HTTPStatus.REQUEST_URI_TOO_LONG, "The request target is too long"
    ),
    Trouble.UNSUPPORTED_ENCODING: Kind(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Encoded bodies are not taken"
    ),
    Trouble.EXPECTATION_FAILED: Kind(
        HTTPStatus.EXPECTATION_FAILED, "The expectation can't be met"
    ),
    Trouble.HEADERS_TOO_LARGE: Kind(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers are too large"
    ),
    Trouble.UNSUPPORTED_TRANSFER: Kind(
        HTTPStatus.NOT_IMPLEMENTED, "The transfer encoding is not supported"
    ),
    Trouble.OVERLOADED: Kind(
        HTTPStatus.SERVICE_UNAVAILABLE, "Too many requests are under way"
    ),
    Trouble.TIMEOUT: Kind(HTTPStatus.GATEWAY_TIMEOUT, "No reply came in time"),
    Trouble.INTERNAL: Kind(HTTPStatus.INTERNAL_SERVER_ERROR, "The gateway has a fault"),
}


def problem_document(code: Code | Trouble, detail: str) -> dict[str, Any]:
    """Return what is told of a problem (RFC 9457), as JSON."""
    kind = KINDS[code]
    return {
        "type": f"urn:shop:problem:{code}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "code": code,
    }


class Problem(Exception):  # noqa: N818 -- an answer, not an error
    """A call that ends with a problem document instead of its answer."""

    def __init__(
        self,
        code: Code | Trouble,
        detail: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.headers = headers or {}

    def response(self) -> web.Response:
        """Write the document; whoever may simply try again is told when."""
        status = KINDS[self.code].status
        document = problem_document(self.code, self.detail)
        if status is HTTPStatus.SERVICE_UNAVAILABLE:
            self.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return web.Response(
            # A client's bytes that are no text may be quoted in the detail.
            body=json.dumps(document, ensure_ascii=False).encode(errors="replace"),
            status=status,
            headers=self.headers,
            content_type="application/problem+json",
        )
