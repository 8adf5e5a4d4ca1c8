"""Tokens of clients: the file that lists them, and the authorization of calls.

A line of the file has the SHA-256 of a token and its role. A token has 256 random bits, so
a stolen file can't be attacked with a list of likely tokens. A plain hash is enough: slow
or salted hashes protect passwords of people.
"""

import hmac
import logging
import re
import secrets
from collections.abc import Collection
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from aiohttp import web
from aiohttp.hdrs import AUTHORIZATION

from gateway.problems import GatewayError, Problem

_HASH = re.compile(r"[0-9a-fA-F]{64}")

_REALM = 'Bearer realm="shop"'
_BEARER = re.compile(r"bearer(?: +(.*))?", re.IGNORECASE | re.DOTALL)
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, b64token

_log = logging.getLogger(__name__)


class Role(StrEnum):
    """The role of a token's holder. An operator may make every call."""

    CUSTOMER = "customer"
    PAYMENTS = "payments"
    OPERATOR = "operator"


def new_token() -> str:
    """Return a random token."""
    return secrets.token_urlsafe(32)  # bytes


def line(token: str, role: Role, comment: str = "") -> str:
    """Return the line of the file for a token."""
    return " ".join([_hash(token), role, *comment.split()])


def parse(text: str) -> dict[str, Role]:
    """Return the role of each hash; empty lines and those that begin with # are skipped.

    Raises:
        ValueError: a line is invalid, or contradicts an earlier one. The message has its
            number, never its content.
    """
    roles: dict[str, Role] = {}
    for number, columns in enumerate(map(str.split, text.split("\n")), start=1):
        if not columns or columns[0].startswith("#"):
            continue
        token_hash, role, *_ = [*columns, ""]
        if not role or not _HASH.fullmatch(token_hash):
            raise ValueError(
                f"line {number} must be a SHA-256 in 64 hex digits, a space and a role"
            )
        if role not in list(Role):
            raise ValueError(f"line {number}: the role must be one of {', '.join(Role)}")
        if roles.setdefault(token_hash.lower(), Role(role)) != role:
            raise ValueError(f"line {number}: an earlier line has another role for it")
    return roles


class TokenFile:
    """The roles of tokens, as the file has them at each request.

    While the file is missing or invalid, the last valid list is in force.

    Raises:
        OSError: the file can't be read.
        ValueError: a line is invalid.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content: bytes | None = None
        self._roles: dict[str, Role] = {}
        self._failure = ""
        self._load()

    def role_of(self, token: str) -> Role | None:
        """Return the role of a token; None if it is unknown."""
        try:
            self._load()
        except (OSError, ValueError) as error:
            if str(error) != self._failure:
                effect = "last valid list stays"
                _log.error(
                    "event=tokens-not-loaded reason=%r effect=%r", str(error), effect
                )
            self._failure = str(error)
        token_hash, found = _hash(token), None
        for known, role in self._roles.items():  # always all: no timing differs
            if hmac.compare_digest(known, token_hash):
                found = role
        return found

    def _load(self) -> None:
        """Read the file, and parse it if it has changed."""
        with self._path.open("rb", buffering=0) as file:  # as fast as a look at its times
            content = file.read()
        if content == self._content and not self._failure:
            return
        roles = parse(content.decode("utf-8-sig", "replace"))
        if roles != self._roles or self._failure:
            _log.info("event=tokens-loaded tokens=%d", len(roles))
        self._content, self._roles, self._failure = content, roles, ""


def _hash(token: str) -> str:
    return sha256(token.encode(errors="surrogateescape")).hexdigest()


def authorize(tokens: TokenFile, request: web.BaseRequest, roles: Collection[Role]) -> None:
    """Raise unless the request's bearer token has one of the roles, or is an operator's.

    Raises:
        Problem: UNAUTHORIZED, FORBIDDEN.
    """
    role = tokens.role_of(_bearer_token(request))
    if role is None:
        raise _unauthorized("the token is unknown", "invalid_token")
    if role is not Role.OPERATOR and role not in roles:
        challenge = {"WWW-Authenticate": f'{_REALM}, error="insufficient_scope"'}
        detail = f"the role {role} may not make this call"
        raise Problem(GatewayError.FORBIDDEN, detail, challenge)


def _bearer_token(request: web.BaseRequest) -> str:
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
    return Problem(GatewayError.UNAUTHORIZED, detail, {"WWW-Authenticate": challenge})
