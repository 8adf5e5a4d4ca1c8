"""Records as text for people, and as the form of a page has them."""

import json
import re
from collections import Counter
from datetime import UTC, datetime
from io import StringIO
from itertools import chain
from typing import NamedTuple
from urllib.parse import parse_qsl

from aiohttp import web
from aiokafka.structs import ConsumerRecord
from pydantic_core import from_json

from schemas.cart import PriceCart
from schemas.contract import Item
from schemas.examples import EXAMPLES
from topics.catalog import TOPIC_OF, TOPICS
from topics.topic import Topic, TopicKind, wire_type

_TOPICS = {topic.name: topic for topic in TOPICS}
_INDENTED = json.JSONEncoder(ensure_ascii=False, indent=2)
_MAX_GROWTH = 10

_TYPE = "application/x-www-form-urlencoded"
_FIELDS = ("value", "key", "headers")
_MAX_FIELDS = 100
_LINES = re.compile(r"\r\n|\r|\n")

# Requests between services have no example elsewhere.
_BETWEEN_SERVICES = PriceCart(user=42, items=(Item(sku=1076963, count=2),))
_BODIES = (*(example.request for example in EXAMPLES.values()), _BETWEEN_SERVICES)


def topic_of(name: str) -> Topic:
    """Return the topic of a name, which may not be a topic of the shop."""
    return _TOPICS.get(name) or Topic(name, TopicKind.REPLIES, "Not a topic of the shop.")


def example_bodies(topic: Topic) -> dict[str, str]:
    """Return example values of a topic of requests, by type of message."""
    bodies = (body for body in _BODIES if TOPIC_OF[type(body)] is topic)
    return {wire_type(type(body)): body.model_dump_json() for body in bodies}


def format_timestamp(milliseconds: int) -> str:
    """Return the time of a record as text."""
    try:
        when = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{milliseconds} ms"
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def escape(value: bytes | None) -> str:
    """Return a key or a header's value: as text if possible, else in hexadecimal."""
    if value is None:
        return "null"
    text = decoded(value)
    return f"0x{value.hex()}" if text is None or not text.isprintable() else text


def decoded(value: bytes) -> str | None:
    """Return bytes as text; None if they are not UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def value_text(value: bytes | None) -> str:
    """Return a value: as text if possible, else in hexadecimal."""
    if value is None:
        return "null: deleted"
    text = decoded(value)
    return f"0x{value.hex()}" if text is None else text


def pretty_json(value: str) -> str:
    """Return JSON with indentation; other text, or deeply nested JSON, as it is."""
    text = StringIO()
    try:
        # The depth that json.loads accepts depends on the version of Python.
        for part in _INDENTED.iterencode(from_json(value)):
            text.write(part)
            if text.tell() > _MAX_GROWTH * len(value):  # deep nesting makes it quadratic
                return value
    except ValueError:
        return value
    return text.getvalue()


FILTERS = {
    "pretty_json": pretty_json,
    "text": escape,
    "time": format_timestamp,
    "value": value_text,
}
"""The filters of templates."""


def contains(record: ConsumerRecord, text: str) -> bool:
    """Return whether key, headers or value contain a text."""
    headers = ((name, escape(value)) for name, value in record.headers)
    parts = (escape(record.key), value_text(record.value), *chain(*headers))
    return any(text in part for part in parts)


class Form(NamedTuple):
    """A record to send; its header names may repeat."""

    value: bytes
    key: bytes | None
    headers: list[tuple[str, bytes]]


async def read_form(request: web.Request) -> Form:
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
    key = fields.get("key", "").encode()
    return Form(value.encode(), key or None, [_header(line) for line in lines])


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
    for name, count in Counter(name for name, _ in pairs).items():
        if name not in _FIELDS:
            known = ", ".join(_FIELDS)
            raise web.HTTPBadRequest(text=f"unknown field {name!r}; the form has {known}")
        if count > 1:
            raise web.HTTPBadRequest(text=f"{name} is given twice")
    return dict(pairs)


def _header(line: str) -> tuple[str, bytes]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise web.HTTPBadRequest(text=f"a header must be name: value, not {line!r}")
    return name.strip(), value.strip().encode()
