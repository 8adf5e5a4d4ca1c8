"""Whatever the gateway shows that stays the same as long as it runs, by path."""

import json
from dataclasses import dataclass
from typing import Any

from gateway.docs import openapi
from gateway.docs.events import events_page
from gateway.docs.index import start_page
from gateway.docs.swagger import SWAGGER_UI, assets
from gateway.routes import ROUTES
from topics import asyncapi
from topics.kafka.settings import KafkaSettings


@dataclass(frozen=True, slots=True)
class Page:
    """A document of some media type."""

    media_type: str
    content: bytes


def pages(cluster: KafkaSettings, *, is_locked: bool = False) -> dict[str, Page]:
    """Write every page; reads Swagger UI's files.

    Args:
        cluster: whose topics are described.
        is_locked: whether calls need a token.
    """
    answers = {route.request: route.reply for route in ROUTES}
    topics = asyncapi.document(cluster, answers)
    files = {f"/docs/{name}": Page(*told) for name, told in assets().items()}
    return {
        "/": _html(start_page()),
        "/docs": _html(SWAGGER_UI),
        "/events": _html(events_page(topics)),
        "/openapi.json": _json(openapi.document(is_locked=is_locked)),
        "/asyncapi.json": _json(topics),
        **files,
    }


def _html(text: str) -> Page:
    return Page("text/html", text.encode())


def _json(document: dict[str, Any]) -> Page:
    return Page("application/json", json.dumps(document, ensure_ascii=False).encode())
