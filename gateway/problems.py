"""Errors as HTTP responses: the problem documents (RFC 9457)."""

import json
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from aiohttp import web

from schemas.contract import Code

RETRY_AFTER_SECONDS = 1


class GatewayError(StrEnum):
    """Codes of errors in the gateway itself, in addition to the shop's own codes."""

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


PROBLEM_TYPES: dict[Code | GatewayError, tuple[int, str]] = {
    Code.BAD_REQUEST: (400, "The request is invalid"),
    Code.UNKNOWN_ORDER: (404, "The order is unknown"),
    Code.INSUFFICIENT_STOCK: (409, "The stock is insufficient"),
    Code.CART_EMPTY: (409, "The cart is empty"),
    Code.CART_FULL: (409, "The cart is full"),
    Code.WRONG_STATUS: (409, "The order's status does not allow the call"),
    Code.COUNT_TOO_LARGE: (409, "The count would become too large"),
    Code.TOTAL_TOO_LARGE: (409, "The total would become too large"),
    Code.KEY_REUSED: (422, "The idempotency key was used for another request"),
    Code.UNKNOWN_PRODUCT: (502, "ProductService has no such product"),
    Code.PRODUCT_SERVICE: (502, "ProductService failed"),
    Code.UNAVAILABLE: (503, "The shop is unavailable"),
    GatewayError.UNAUTHORIZED: (401, "A token is required"),
    GatewayError.FORBIDDEN: (403, "The token's role does not allow the call"),
    GatewayError.NOT_FOUND: (404, "The path is unknown"),
    GatewayError.METHOD_NOT_ALLOWED: (405, "The method is not allowed"),
    GatewayError.TOO_LARGE: (413, "The request is too large"),
    GatewayError.TOO_SLOW: (408, "The request arrived too slowly"),
    GatewayError.URI_TOO_LONG: (414, "The request target is too long"),
    GatewayError.UNSUPPORTED_ENCODING: (415, "The content encoding is not supported"),
    GatewayError.EXPECTATION_FAILED: (417, "The expectation is not supported"),
    GatewayError.HEADERS_TOO_LARGE: (431, "The headers are too large"),
    GatewayError.UNSUPPORTED_TRANSFER: (501, "The transfer encoding is not supported"),
    GatewayError.OVERLOADED: (503, "Too many requests are in flight"),
    GatewayError.TIMEOUT: (504, "No reply arrived in time"),
    GatewayError.INTERNAL: (500, "The gateway failed"),
}
"""The status and the title that all problems of a code have."""


def problem_document(code: Code | GatewayError, detail: str) -> dict[str, Any]:
    """Return the problem document (RFC 9457) of an error."""
    status, title = PROBLEM_TYPES[code]
    kind = f"urn:shop:problem:{code}"
    return {"type": kind, "title": title, "status": status, "detail": detail, "code": code}


class Problem(Exception):  # noqa: N818 -- a response, not an error
    """A call that ends with a problem document instead of a reply."""

    def __init__(
        self, code: Code | GatewayError, detail: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.code = code
        self._detail = detail
        self._headers = headers or {}

    def response(self) -> web.Response:
        """Return the response; 503 has a `Retry-After` header."""
        document = problem_document(self.code, self._detail)
        if document["status"] == HTTPStatus.SERVICE_UNAVAILABLE:
            self._headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return web.Response(
            # The detail may quote bytes of a client that are not valid text.
            body=json.dumps(document, ensure_ascii=False).encode(errors="replace"),
            status=document["status"],
            headers=self._headers,
            content_type="application/problem+json",
        )
