"""The static pages and documents of a gateway, by path."""

import json
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from gateway.docs import openapi
from gateway.docs.events import topic_views
from gateway.routes import ROUTES
from schemas.contract import Contract
from topics import asyncapi
from topics.html import environment
from topics.kafka.settings import KafkaSettings

_SWAGGER_UI = {  # from a package, so that the page works offline
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}


@dataclass(frozen=True, slots=True)
class Page:
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
    description = topics["info"]["description"]
    return {
        "/": _html("index.html", routes=ROUTES),
        "/docs": _html("swagger.html"),
        "/events": _html(
            "events.html", description=description, topics=topic_views(topics)
        ),
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


def _json(document: dict[str, Any]) -> Page:
    return Page("application/json", json.dumps(document, ensure_ascii=False).encode())


def _swagger_ui() -> dict[str, Page]:
    package = distribution("swagger-ui-py").locate_file("swagger_ui/static")
    return {
        f"/docs/{name}": Page(media_type, Path(str(package), name).read_bytes())
        for name, media_type in _SWAGGER_UI.items()
    }
