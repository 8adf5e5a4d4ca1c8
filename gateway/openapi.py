"""The HTTP surface as an OpenAPI 3.1 document, derived from routes and contracts."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from gateway.problems import KINDS, Trouble, problem_document
from gateway.routes import ROUTES, Route
from schemas.contract import Code, Contract
from schemas.definitions import definitions, reference
from schemas.examples import EXAMPLES
from topics.asyncapi import TITLE, VERSION
from topics.catalog import HOME

_JSON = "application/json"
_PROBLEM = "application/problem+json"

_ABOUT = """\
Each call is a POST with a JSON body; all numbers are integers, exact to the last digit.
Whatever fails is a problem document (RFC 9457) whose `code` tells programs why: each call
lists its own, and any path may answer `not-found`, `method-not-allowed` or `uri-too-long`.

The examples are a visit to a shop that was just opened (`make run-all`): tried from top to
bottom, each is answered as shown. The same calls go over Kafka: see [/events](events).
"""

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
    *(Trouble.UNSUPPORTED_ENCODING, Trouble.UNSUPPORTED_TRANSFER),
    *(Trouble.EXPECTATION_FAILED, Trouble.HEADERS_TOO_LARGE, Trouble.INTERNAL),
)
"""What any call may end with."""

_LOOKS = {
    "/livez": "Whether the process lives.",
    "/readyz": "Whether Kafka can be reached.",
    "/openapi.json": "This document.",
    "/asyncapi.json": "The Kafka side of the shop, as an AsyncAPI document.",
}


def document() -> dict[str, Any]:
    """Describe every call, its answer and each way in which it may fail."""
    paths: dict[str, Any] = {route.path: {"post": _operation(route)} for route in ROUTES}
    paths |= {path: {"get": _look(path, doc)} for path, doc in _LOOKS.items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": VERSION,
            "description": _ABOUT,
        },
        "paths": paths,
        "components": {"schemas": _schemas()},
    }


def _operation(route: Route) -> dict[str, Any]:
    codes: Iterable[Code | Trouble] = (*_AT_THE_DOOR, *route.refuses)
    example = EXAMPLES[route.asks]
    key = {"example": example.key} if example.key else {}
    done = {"description": "Done.", "content": _content(route.answers, example.answers)}
    return {
        "operationId": route.path[1:],
        "tags": [HOME[route.asks].name.removesuffix(".requests")],
        "summary": route.doc,
        "description": route.asks.__doc__,
        "parameters": [_IDEMPOTENCY_KEY | key],
        "requestBody": {"required": True, "content": _content(route.asks, example.asks)},
        "responses": {"200": done, **_problems(codes)},
    }


def _look(path: str, doc: str) -> dict[str, Any]:
    found = {"description": "It is so.", "content": {_JSON: {"schema": {}}}}
    gone = _problems([Code.UNAVAILABLE]) if path == "/readyz" else {}
    return {"tags": ["gateway"], "summary": doc, "responses": {"200": found, **gone}}


def _content(contract: type[Contract], example: Contract) -> dict[str, Any]:
    shown = example.model_dump(mode="json", exclude={"type"})
    return {_JSON: {"schema": reference(contract.__name__), "example": shown}}


def _problems(codes: Iterable[Code | Trouble]) -> dict[str, Any]:
    """Say which problems there may be, by status."""
    found: defaultdict[str, list[Code | Trouble]] = defaultdict(list)
    for code in codes:
        found[str(KINDS[code].status.value)].append(code)
    return {status: _one_of(found[status]) for status in sorted(found)}


def _one_of(codes: Iterable[Code | Trouble]) -> dict[str, Any]:
    titles = {code: KINDS[code].title for code in codes}
    shown = {
        str(code): {"summary": title, "value": problem_document(code, f"{title}.")}
        for code, title in titles.items()
    }
    content = {"schema": reference("Problem"), "examples": shown}
    return {
        "description": " ".join(f"`{code}`: {title}." for code, title in titles.items()),
        "content": {_PROBLEM: content},
    }


def _schemas() -> dict[str, Any]:
    bodies = {model for route in ROUTES for model in (route.asks, route.answers)}
    schemas = definitions(bodies)
    for model in bodies:  # over HTTP the path says what it is
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
