"""The static pages and documents of a gateway, by path."""

import json
from collections.abc import Iterator
from datetime import timedelta
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, NamedTuple

from gateway.docs import openapi
from gateway.routes import ROUTES
from schemas.contract import Contract
from topics import asyncapi
from topics.describe import format_retention
from topics.html import environment
from topics.kafka.settings import KafkaSettings

Document = dict[str, Any]

_SWAGGER_UI = {  # from a package, so that the page works offline
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}


class Page(NamedTuple):
    """A document of a media type."""

    media_type: str
    content: bytes


def pages(cluster: KafkaSettings, *, is_locked: bool = False) -> dict[str, Page]:
    """Render every page; read the files of Swagger UI.

    Args:
        cluster: the settings of the described topics.
        is_locked: whether calls need a token.
    """
    topics = asyncapi.document(cluster, {route.request: route.reply for route in ROUTES})
    return {
        "/": _html("index.html", routes=ROUTES),
        "/docs": _html("swagger.html"),
        "/events": _html("events.html", **_Events(topics).values()),
        "/openapi.json": _json(openapi.document(is_locked=is_locked)),
        "/asyncapi.json": _json(topics),
        **_swagger_ui(),
    }


def _html(template: str, **values: object) -> Page:
    templates = environment(Path(__file__).parent / "templates")
    templates.filters["fields"] = _fields
    return Page("text/html", templates.get_template(template).render(values).encode())


def _fields(contract: type[Contract]) -> str:
    names = (field.alias or name for name, field in contract.model_fields.items())
    return f"{{{', '.join(name for name in names if name != 'type')}}}"


def _json(document: Document) -> Page:
    return Page("application/json", json.dumps(document, ensure_ascii=False).encode())


def _swagger_ui() -> dict[str, Page]:
    package = distribution("swagger-ui-py").locate_file("swagger_ui/static")
    return {
        f"/docs/{name}": Page(media_type, Path(str(package), name).read_bytes())
        for name, media_type in _SWAGGER_UI.items()
    }


class _Events:
    """The topics and messages of an AsyncAPI document, as the template shows them."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._messages = document["components"]["messages"]

    def values(self) -> dict[str, Any]:
        return {
            "description": self._document["info"]["description"],
            "topics": [self._topic(name) for name in self._document["channels"]],
        }

    def _topic(self, name: str) -> Document:
        channel = self._document["channels"][name]
        messages = [self._messages[key] for key in channel["messages"]]
        first, *_ = messages  # the messages of a topic share their key and headers
        key = first["bindings"]["kafka"]["key"]["description"]
        return {
            "name": name,
            "description": f"{channel['description']} {_retention(channel)} Key: {key}.",
            "headers": [*self._rows(first.get("headers", {}))],
            "messages": [self._message(message, name) for message in messages],
        }

    def _message(self, message: Document, channel: str) -> Document:
        examples = (example["payload"] for example in message.get("examples", ()))
        return {
            **message,
            "reply": self._reply(message["name"], channel),
            "fields": [*self._rows(message["payload"])],
            "examples": [json.dumps(payload, ensure_ascii=False) for payload in examples],
        }

    def _reply(self, name: str, channel: str) -> Document | None:
        """Return the possible replies to a request, and the topic in a sentence."""
        operation = self._document["operations"].get(name, {})
        if "reply" not in operation or _target(operation["channel"]) != channel:
            return None
        messages = map(_target, operation["reply"]["messages"])
        return {
            "names": [self._messages[message]["name"] for message in messages],
            "address": operation["reply"]["address"]["description"],
        }

    def _rows(self, schema: Document, prefix: str = "") -> Iterator[tuple[str, str, str]]:
        """Yield name, type and meaning of each field; `items[].count` for an array's."""
        schema = self._resolved(schema)
        required = schema.get("required", ())
        for name, reference in schema.get("properties", {}).items():
            field = self._resolved(reference)
            meaning = [] if name in required else ["optional"]
            meaning += [field[key] for key in ("format", "description") if key in field]
            yield prefix + name, _type(field), "; ".join(meaning)
            yield from self._rows(field.get("items", {}), f"{prefix}{name}[].")

    def _resolved(self, schema: Document) -> Document:
        found = self._document["components"]["schemas"].get(_target(schema), {})
        return {**found, **{key: value for key, value in schema.items() if key != "$ref"}}


def _retention(channel: Document) -> str:
    if "bindings" not in channel:
        return ""
    binding = channel["bindings"]["kafka"]
    milliseconds = binding["topicConfiguration"].get("retention.ms")
    time = None if milliseconds is None else timedelta(milliseconds=milliseconds)
    return f"{binding['partitions']} partitions; kept: {format_retention(time)}."


def _type(schema: Document) -> str:
    match schema:
        case {"const": value}:
            return json.dumps(value)
        case {"enum": values}:
            return " | ".join(map(json.dumps, values))
        case {"anyOf": choices}:
            return " | ".join(_target(choice) or _type(choice) for choice in choices)
        case _:
            return str(schema.get("type", "any"))


def _target(reference: Document) -> str:
    return str(reference.get("$ref", "")).rpartition("/")[2]
