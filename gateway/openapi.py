"""The HTTP interface as an OpenAPI 3.1 document, derived from routes and contracts."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from gateway.problems import PROBLEM_TYPES, GatewayError, problem_document
from gateway.routes import ROUTES, Route
from gateway.tokens import Role
from schemas.contract import Code, Contract, definitions, reference
from schemas.examples import EXAMPLES
from topics.asyncapi import INFO
from topics.catalog import TOPIC_OF
from topics.kafka.headers import KEY_PATTERN

_ABOUT = """\
Each call is a POST with a JSON body. All numbers are exact integers. Errors are problem
documents (RFC 9457) with a `code` for programs. Each call lists its codes. In addition any
path may return `not-found`, `method-not-allowed` or `uri-too-long`.

The examples are a walkthrough of a new shop (`make run-all`): sent from top to bottom, each
request has the reply that is shown. The same requests can be sent over Kafka, see
[/events](events).

If the operator has set `GATEWAY_TOKENS`, each call needs a token whose role allows it.
Probes, `/metrics` and documents need none.
"""

_LICENSE = {"name": "Proprietary", "identifier": "LicenseRef-Proprietary"}
_TOKEN = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token from `python -m gateway token ROLE`.",
}
_TAGS = {
    "cart": "The cart of a user.",
    "order": "Orders, from creation to payment or cancellation.",
    "stock": "The stock of warehouses.",
    "gateway": "Probes and documents of this gateway.",
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A request that is repeated with its key has one effect and one reply.",
    "schema": {"type": "string", "pattern": f"^{KEY_PATTERN}$"},
}
_CHALLENGED = {GatewayError.UNAUTHORIZED, GatewayError.FORBIDDEN}
_CHALLENGE = {
    "WWW-Authenticate": {
        "description": "How to authenticate: a bearer token (RFC 6750).",
        "required": True,
        "schema": {"type": "string", "pattern": "^Bearer "},
    }
}
_OF_ANY_PATH = {  # see _ABOUT
    GatewayError.NOT_FOUND,
    GatewayError.METHOD_NOT_ALLOWED,
    GatewayError.URI_TOO_LONG,
}
_OF_ANY_CALL: tuple[Code | GatewayError, ...] = (
    *(Code.BAD_REQUEST, Code.KEY_REUSED, Code.UNAVAILABLE),
    *(error for error in GatewayError if error not in _OF_ANY_PATH),
)
_PROBES = {
    "/livez": ("Check the process.", "Returns 200 while the process serves HTTP."),
    "/readyz": ("Check the connection to Kafka.", "Returns 503 without a connection."),
    "/openapi.json": ("Get this document.", "The HTTP interface in OpenAPI 3.1."),
    "/asyncapi.json": ("Get the Kafka document.", "The Kafka interface in AsyncAPI 3.0."),
}


def document(*, is_locked: bool = False) -> dict[str, Any]:
    """Return the document of every call; if locked, each needs a token."""
    token: list[dict[str, list[str]]] = [{"token": []}]
    security = token if is_locked else [{}, *token]
    paths = {route.path: {"post": _operation(route, security)} for route in ROUTES}
    paths |= {path: {"get": _probe(path, *texts)} for path, texts in _PROBES.items()}
    return {
        "openapi": "3.1.0",
        "info": INFO | {"description": _ABOUT, "license": _LICENSE},
        "servers": [{"url": "/", "description": "The gateway that serves this document."}],
        "tags": [{"name": name, "description": doc} for name, doc in _TAGS.items()],
        "paths": paths,
        "components": {"schemas": _schemas(), "securitySchemes": {"token": _TOKEN}},
    }


def _operation(route: Route, security: list[dict[str, list[str]]]) -> dict[str, Any]:
    example = EXAMPLES[route.request]
    key = {"example": example.idempotency_key} if example.idempotency_key else {}
    done = {"description": "The reply.", "content": _content(example.reply)}
    allowed = route.roles | {Role.OPERATOR}
    roles = ", ".join(f"`{role}`" for role in Role if role in allowed)
    return {
        "operationId": route.path[1:],
        "tags": [TOPIC_OF[route.request].name.removesuffix(".requests")],
        "summary": route.request.__doc__,
        "description": f"Roles: {roles}.",
        "security": security,
        "parameters": [_IDEMPOTENCY_KEY | key],
        "requestBody": {"required": True, "content": _content(example.request)},
        "responses": {"200": done, **_problems([*_OF_ANY_CALL, *route.errors])},
    }


def _probe(path: str, summary: str, description: str) -> dict[str, Any]:
    success = {"description": "Success.", "content": {"application/json": {"schema": {}}}}
    codes = [Code.BAD_REQUEST, *([Code.UNAVAILABLE] if path == "/readyz" else [])]
    return {
        "operationId": path[1:].removesuffix(".json"),
        "tags": ["gateway"],
        "summary": summary,
        "description": description,
        "security": [],
        "responses": {"200": success, **_problems(codes)},
    }


def _content(example: Contract) -> dict[str, Any]:
    schema = reference(type(example).__name__)
    body = example.model_dump(mode="json", exclude={"type"})
    return {"application/json": {"schema": schema, "example": body}}


def _problems(codes: Iterable[Code | GatewayError]) -> dict[str, Any]:
    """Return the responses of problems, by status."""
    by_status: defaultdict[str, list[Code | GatewayError]] = defaultdict(list)
    for code in codes:
        by_status[str(PROBLEM_TYPES[code][0])].append(code)
    return {status: _response(by_status[status]) for status in sorted(by_status)}


def _response(codes: Iterable[Code | GatewayError]) -> dict[str, Any]:
    titles = {code: PROBLEM_TYPES[code][1] for code in codes}
    examples = {
        str(code): {"summary": title, "value": problem_document(code, f"{title}.")}
        for code, title in titles.items()
    }
    content = {"schema": reference("Problem"), "examples": examples}
    return {
        "description": " ".join(f"`{code}`: {title}." for code, title in titles.items()),
        **({"headers": _CHALLENGE} if titles.keys() & _CHALLENGED else {}),
        "content": {"application/problem+json": content},
    }


def _schemas() -> dict[str, Any]:
    bodies = {model for route in ROUTES for model in (route.request, route.reply)}
    schemas = definitions(bodies)
    for model in bodies:  # over HTTP the path selects the request
        del schemas[model.__name__]["properties"]["type"]
    properties = {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"enum": [*Code, *GatewayError]},
    }
    problem = {
        "description": "An error as RFC 9457 defines it, with a code for programs.",
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }
    return schemas | {"Problem": problem}
