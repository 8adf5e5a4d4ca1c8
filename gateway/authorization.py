"""Authorizes calls by the role of their bearer token."""

import re
from pathlib import Path
from typing import Protocol

from aiohttp import web
from aiohttp.hdrs import AUTHORIZATION, WWW_AUTHENTICATE

from gateway.problems import GatewayError, Problem
from gateway.routes import ROUTES
from gateway.tokens import Role, TokenFile

CALLS: dict[Role, frozenset[str]] = {
    Role.CUSTOMER: frozenset(
        {
            *("/addToCart", "/deleteFromCart", "/listCart", "/purchase", "/purchases"),
            *("/createOrder", "/listOrder", "/cancelOrder", "/stocks"),
        }
    ),
    Role.PAYMENTS: frozenset({"/orderPayed", "/listOrder"}),
    Role.OPERATOR: frozenset(route.path for route in ROUTES),
}
"""The calls of each role. A new call is for operators only until it is listed here."""

_REALM = 'Bearer realm="shop"'
_BEARER = re.compile(r"bearer(?: +(.*))?", re.IGNORECASE | re.DOTALL)
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, b64token


class Tokens(Protocol):
    """The roles of tokens."""

    def role_of(self, token: str) -> Role | None:
        """Return the role of a token; None if it is unknown."""


class Authorizer:
    """Checks that a request's token has a role for its call.

    Args:
        tokens: None disables the check.
    """

    def __init__(self, tokens: Tokens | None) -> None:
        self._tokens = tokens

    def check(self, request: web.BaseRequest, path: str) -> None:
        """Raise unless the request may make the call.

        Raises:
            Problem: UNAUTHORIZED, FORBIDDEN.
        """
        if self._tokens is None:
            return
        role = self._tokens.role_of(_token(request))
        if role is None:
            raise _unauthorized("the token is unknown", "invalid_token")
        if path not in CALLS[role]:
            challenge = f'{_REALM}, error="insufficient_scope"'
            detail = f"the role {role} may not make this call"
            raise Problem(GatewayError.FORBIDDEN, detail, {WWW_AUTHENTICATE: challenge})


OPEN = Authorizer(None)


def authorizer_of(path: Path | None) -> Authorizer:
    """Return the authorizer of a token file; without a file it checks nothing."""
    return Authorizer(TokenFile(path)) if path else OPEN


def _token(request: web.BaseRequest) -> str:
    values = request.headers.getall(AUTHORIZATION, ())
    bearer = _BEARER.fullmatch(values[0].strip()) if values else None
    if bearer is None:
        raise _unauthorized("this call needs the header Authorization: Bearer TOKEN")
    token = bearer[1] or ""
    if len(values) > 1 or not _TOKEN.fullmatch(token):
        raise _unauthorized("Authorization must have one bearer token", "invalid_token")
    return token


def _unauthorized(detail: str, error: str = "") -> Problem:
    challenge = f'{_REALM}, error="{error}"' if error else _REALM
    return Problem(GatewayError.UNAUTHORIZED, detail, {WWW_AUTHENTICATE: challenge})
