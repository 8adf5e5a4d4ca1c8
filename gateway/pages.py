"""The static pages and documents of a gateway, by path."""

import json
import re
from collections.abc import Iterator
from functools import partial, reduce
from importlib.metadata import distribution
from operator import getitem
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import ChoiceLoader, Environment, PackageLoader
from markupsafe import Markup, escape

from gateway import openapi
from gateway.routes import ROUTES
from schemas.contract import Contract
from topics import asyncapi
from topics.kafka.settings import KafkaSettings
from topics.topic import format_retention

Document = dict[str, Any]

_JSON = partial(json.dumps, ensure_ascii=False)
_TYPED = re.compile("`([^`]+)`")
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
    """Render every page; read the files of Swagger UI."""
    topics = asyncapi.document(cluster, {route.request: route.reply for route in ROUTES})
    files = distribution("swagger-ui-py").locate_file("swagger_ui/static")
    return {
        "/": _html("index.html", routes=ROUTES),
        "/docs": _html("swagger.html"),
        "/events": _html(
            "events.html",
            description=topics["info"]["description"],
            channels=_resolved(topics["channels"], topics),
            operations=_resolved(topics["operations"], topics),
        ),
        "/openapi.json": _json(openapi.document(is_locked=is_locked)),
        "/asyncapi.json": _json(topics),
        **{
            f"/docs/{name}": Page(media_type, Path(str(files), name).read_bytes())
            for name, media_type in _SWAGGER_UI.items()
        },
    }


def _html(template: str, **values: object) -> Page:
    # The template of all pages, with the style sheet, is in topics.
    loader = ChoiceLoader([PackageLoader("gateway"), PackageLoader("topics")])
    templates = Environment(loader=loader, autoescape=True, trim_blocks=True)
    templates.filters |= {"fields": _fields, "rows": _rows, "kept": _kept, "json": _JSON}
    templates.filters["prose"] = _prose
    return Page("text/html", templates.get_template(template).render(values).encode())


def _prose(text: str) -> Markup:
    """Return text as HTML, in which backticks become code."""
    return Markup(_TYPED.sub(r"<code>\1</code>", escape(text)))  # noqa: S704 -- escaped


def _fields(contract: type[Contract]) -> str:
    names = (field.alias or name for name, field in contract.model_fields.items())
    return f"{{{', '.join(name for name in names if name != 'type')}}}"


def _json(document: Document) -> Page:
    return Page("application/json", _JSON(document).encode())


def _resolved(node: Any, document: Document) -> Any:  # noqa: ANN401 -- any JSON
    """Return a part of a document with the targets of its references, each with a name."""
    match node:
        case {"$ref": str(reference), **rest}:
            *_, name = path = reference.removeprefix("#/").split("/")
            target = _resolved(reduce(getitem, path, document), document)
            return {"name": name, **target, **_resolved(rest, document)}
        case dict():
            return {key: _resolved(value, document) for key, value in node.items()}
        case list():
            return [_resolved(item, document) for item in node]
        case _:
            return node


def _rows(schema: Document, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield name, type and meaning of an object's fields, and of items in its arrays."""
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        meaning = [] if name in required else ["optional"]
        meaning += [field[key] for key in ("format", "description") if key in field]
        yield prefix + name, _type(field), "; ".join(meaning)
        yield from _rows(field.get("items", {}), f"{prefix}{name}[].")


def _type(schema: Document) -> str:
    match schema:
        case {"const": value}:
            return json.dumps(value)
        case {"enum": values}:
            return " | ".join(map(json.dumps, values))
        case {"anyOf": choices}:
            return " | ".join(choice.get("name") or _type(choice) for choice in choices)
        case _:
            return str(schema.get("type", "any"))


def _kept(binding: Document) -> str:
    return format_retention(binding["topicConfiguration"].get("retention.ms"))
