"""What goes wrong, as HTTP: problem documents (RFC 9457) for every error there is."""

import json
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from aiohttp import web

from schemas.contract import Code

RETRY_AFTER_SECONDS = 1


class GatewayError(StrEnum):
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
class ProblemType:
    """What all problems of one code have in common."""

    status: HTTPStatus
    title: str


PROBLEM_TYPES: dict[Code | GatewayError, ProblemType] = {
    Code.BAD_REQUEST: ProblemType(HTTPStatus.BAD_REQUEST, "The request makes no sense"),
    Code.UNKNOWN_ORDER: ProblemType(HTTPStatus.NOT_FOUND, "There is no such order"),
    Code.INSUFFICIENT_STOCK: ProblemType(
        HTTPStatus.CONFLICT, "There is not enough in stock"
    ),
    Code.CART_EMPTY: ProblemType(HTTPStatus.CONFLICT, "The cart is empty"),
    Code.CART_FULL: ProblemType(HTTPStatus.CONFLICT, "The cart takes no more lines"),
    Code.WRONG_STATUS: ProblemType(
        HTTPStatus.CONFLICT, "The order's status does not allow it"
    ),
    Code.COUNT_TOO_LARGE: ProblemType(
        HTTPStatus.CONFLICT, "The count would become too large"
    ),
    Code.TOTAL_TOO_LARGE: ProblemType(
        HTTPStatus.CONFLICT, "The total would become too large"
    ),
    Code.KEY_REUSED: ProblemType(
        HTTPStatus.UNPROCESSABLE_ENTITY, "The idempotency key stands for another request"
    ),
    Code.UNKNOWN_PRODUCT: ProblemType(
        HTTPStatus.BAD_GATEWAY, "ProductService lacks a product"
    ),
    Code.PRODUCT_SERVICE: ProblemType(HTTPStatus.BAD_GATEWAY, "ProductService failed"),
    Code.UNAVAILABLE: ProblemType(
        HTTPStatus.SERVICE_UNAVAILABLE, "The shop can't be reached"
    ),
    GatewayError.UNAUTHORIZED: ProblemType(HTTPStatus.UNAUTHORIZED, "A token is needed"),
    GatewayError.FORBIDDEN: ProblemType(
        HTTPStatus.FORBIDDEN, "The token's role is not enough"
    ),
    GatewayError.NOT_FOUND: ProblemType(HTTPStatus.NOT_FOUND, "There is no such path"),
    GatewayError.METHOD_NOT_ALLOWED: ProblemType(
        HTTPStatus.METHOD_NOT_ALLOWED, "This path takes another method"
    ),
    GatewayError.TOO_LARGE: ProblemType(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request is too large"
    ),
    GatewayError.TOO_SLOW: ProblemType(
        HTTPStatus.REQUEST_TIMEOUT, "The request came too slowly"
    ),
    GatewayError.URI_TOO_LONG: ProblemType(
        HTTPStatus.REQUEST_URI_TOO_LONG, "The request target is too long"
    ),
    GatewayError.UNSUPPORTED_ENCODING: ProblemType(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Encoded bodies are not taken"
    ),
    GatewayError.EXPECTATION_FAILED: ProblemType(
        HTTPStatus.EXPECTATION_FAILED, "The expectation can't be met"
    ),
    GatewayError.HEADERS_TOO_LARGE: ProblemType(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers are too large"
    ),
    GatewayError.UNSUPPORTED_TRANSFER: ProblemType(
        HTTPStatus.NOT_IMPLEMENTED, "The transfer encoding is not supported"
    ),
    GatewayError.OVERLOADED: ProblemType(
        HTTPStatus.SERVICE_UNAVAILABLE, "Too many requests are under way"
    ),
    GatewayError.TIMEOUT: ProblemType(HTTPStatus.GATEWAY_TIMEOUT, "No reply came in time"),
    GatewayError.INTERNAL: ProblemType(
        HTTPStatus.INTERNAL_SERVER_ERROR, "The gateway has a fault"
    ),
}


def problem_document(code: Code | GatewayError, detail: str) -> dict[str, Any]:
    """Return what is told of a problem (RFC 9457), as JSON."""
    kind = PROBLEM_TYPES[code]
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
        code: Code | GatewayError,
        detail: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.headers = headers or {}

    def response(self) -> web.Response:
        """Write the document; whoever may simply try again is told when."""
        status = PROBLEM_TYPES[self.code].status
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
