"""The form that produces a record exactly as typed."""

import re
from typing import NamedTuple
from urllib.parse import parse_qsl

from aiohttp import web

_TYPE = "application/x-www-form-urlencoded"
_FIELDS = ("value", "key", "headers")
_MAX_FIELDS = 100
_LINES = re.compile(r"\r\n|\r|\n")


class Form(NamedTuple):
    """A record as it was typed; its header names may repeat."""

    value: str
    key: str | None
    headers: list[tuple[str, str]]


async def read(request: web.Request) -> Form:
    """Read the form of a request.

    Raises:
        web.HTTPException: 400, 413 or 415; the text has the field and the error.
    """
    if request.content_type != _TYPE:
        raise web.HTTPUnsupportedMediaType(text=f"the form must be {_TYPE}")
    fields = _fields(await request.read())
    value = fields.get("value")
    if not value:
        raise web.HTTPBadRequest(text=f"value is {'missing' if value is None else 'empty'}")
    lines = filter(None, map(str.strip, _LINES.split(fields.get("headers", ""))))
    return Form(value, fields.get("key") or None, [_header(line) for line in lines])


def _fields(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"the form can't be read: {error}") from error
    names = [name for name, _ in pairs]
    for name in names:
        if name not in _FIELDS:
            known = ", ".join(_FIELDS)
            raise web.HTTPBadRequest(text=f"unknown field {name!r}; the form has {known}")
        if names.count(name) > 1:
            raise web.HTTPBadRequest(text=f"{name} is given twice")
    return dict(pairs)


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise web.HTTPBadRequest(text=f"a header must be name: value, not {line!r}")
    return name.strip(), value.strip()
