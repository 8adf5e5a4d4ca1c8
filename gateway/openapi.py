"""The HTTP surface as an OpenAPI 3.1 document, derived from routes and contracts."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import models_json_schema

from gateway.problems import KINDS, Trouble
from gateway.routes import ROUTES, Route
from schemas.contract import Code, Contract

VERSION = "1.0.0"
_REF = "#/components/schemas/{model}"
_JSON = "application/json"
_PROBLEM = "application/problem+json"

_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key and request again has one effect and the same answer.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
}

_AT_THE_DOOR = (
    Code.BAD_REQUEST,
    Code.KEY_REUSED,
    Code.UNAVAILABLE,
    *(Trouble.TOO_LARGE, Trouble.TOO_SLOW, Trouble.OVERLOADED, Trouble.TIMEOUT),
    Trouble.INTERNAL,
)
"""What any call may end with."""

_LOOKS = {
    "/livez": "Whether the process lives.",
    "/readyz": "Whether Kafka can be reached.",
    "/openapi.json": "This document.",
}


def document() -> dict[str, Any]:
    """Describe every call, its answer and each way in which it may fail."""
    paths: dict[str, Any] = {route.path: {"post": _operation(route)} for route in ROUTES}
    paths |= {path: {"get": _look(path, doc)} for path, doc in _LOOKS.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "The shop that never loses an item", "version": VERSION},
        "paths": paths,
        "components": {"schemas": _schemas()},
    }


def _operation(route: Route) -> dict[str, Any]:
    codes: Iterable[Code | Trouble] = (*_AT_THE_DOOR, *route.refuses)
    return {
        "operationId": route.path[1:],
        "summary": route.doc,
        "parameters": [_IDEMPOTENCY_KEY],
        "requestBody": {"required": True, "content": _content(_JSON, route.asks)},
        "responses": {
            "200": {"description": "Done.", "content": _content(_JSON, route.answers)},
            **_problems(codes),
        },
    }


def _look(path: str, doc: str) -> dict[str, Any]:
    found = {"description": "It is so.", "content": {_JSON: {"schema": {}}}}
    gone = _problems([Code.UNAVAILABLE]) if path == "/readyz" else {}
    return {"summary": doc, "responses": {"200": found, **gone}}


def _content(kind: str, contract: type[Contract]) -> dict[str, Any]:
    return {kind: {"schema": {"$ref": _REF.format(model=contract.__name__)}}}


def _problems(codes: Iterable[Code | Trouble]) -> dict[str, Any]:
    """Say which problems there may be, by status."""
    titles: defaultdict[str, list[str]] = defaultdict(list)
    for code in codes:
        titles[str(KINDS[code].status.value)].append(f"`{code}`: {KINDS[code].title}.")
    schema = {"$ref": _REF.format(model="Problem")}
    return {
        status: {
            "description": " ".join(titles[status]),
            "content": {_PROBLEM: {"schema": schema}},
        }
        for status in sorted(titles)
    }


def _schemas() -> dict[str, Any]:
    bodies = {model for route in ROUTES for model in (route.asks, route.answers)}
    ordered = sorted(bodies, key=lambda model: model.__name__)
    _, found = models_json_schema(
        [(model, "validation") for model in ordered], ref_template=_REF
    )
    schemas: dict[str, Any] = found["$defs"]
    for model in ordered:  # over HTTP the path says what it is
        del schemas[model.__name__]["properties"]["type"]
    return schemas | {"Problem": _PROBLEM_SCHEMA}


_PROBLEM_SCHEMA: dict[str, Any] = {
    "description": "RFC 9457, with a code for programs.",
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"enum": [*Code, *Trouble]},
    },
    "required": ["type", "title", "status", "detail", "code"],
    "additionalProperties": False,
}
