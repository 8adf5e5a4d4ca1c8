"""Routes HTTP requests to calls, probes and pages, and returns their responses."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import cache, partial

from aiohttp import web
from prometheus_client import (
    REGISTRY,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from pydantic import TypeAdapter, ValidationError

from gateway.pages import Page
from gateway.problems import GatewayError, Problem
from gateway.request_reply import RequestReplyClient
from gateway.requests import BodyReader, parse, propagated_headers
from gateway.routes import ROUTES, Route
from gateway.settings import Settings
from gateway.tokens import authorize
from schemas.contract import Code, Contract, Refused
from topics.catalog import Reply
from topics.telemetry import tracing
from topics.topic import wire_type

JSON = "application/json"

disable_created_metrics()  # they double the number of series

BY = ("call", "outcome")
REQUESTS = Counter("http_requests_total", "Requests that were answered.", BY)
SECONDS = Histogram(
    "http_request_duration_seconds",
    "Time from the head of a request to the end of its response.",
    BY,
    buckets=(0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 1, 2.5, 5, 10),
)
IN_FLIGHT = Gauge("http_requests_in_flight", "Requests that wait for their response.")
OK, UNEXPECTED = "ok", "internal"

_CALLS = {route.path: route for route in ROUTES}
_BEGINNINGS = {
    route.reply: b'{"type":"%b",' % wire_type(route.reply).encode() for route in ROUTES
}
"""How `to_json` begins the replies that have more fields than their type."""

_decode_reply = TypeAdapter[Contract](Reply).validator.validate_json

log = logging.getLogger(__name__)


class Gateway:
    """Responds to every HTTP request, with a result or a problem document."""

    def __init__(
        self, client: RequestReplyClient, pages: Mapping[str, Page], settings: Settings
    ) -> None:
        self._client = client
        self._bodies = BodyReader(settings)
        self._tokens = settings.gateway_tokens
        self._pages: dict[str, Callable[[web.BaseRequest], Awaitable[web.Response]]] = {
            "/livez": partial(_show, Page(JSON, b'{"status":"alive"}')),
            "/readyz": self._ready,
            "/metrics": _metrics,
            **{path: partial(_show, page) for path, page in pages.items()},
        }

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """Respond to a request."""
        began, outcome = time.perf_counter(), UNEXPECTED
        path = request.rel_url.raw_path
        try:
            with IN_FLIGHT.track_inprogress():
                response, outcome = await self._dispatch(request, path), OK
        except Problem as problem:
            response, outcome = problem.response(), problem.code
        finally:
            known = path in _CALLS or path in self._pages
            # Unknown paths share a label, so that labels are bounded.
            labels = path[1:] or "start page" if known else "unknown", outcome
            requests, seconds = _metrics_of(*labels)
            requests.inc()
            seconds.observe(time.perf_counter() - began)
        return response

    async def _dispatch(self, request: web.BaseRequest, path: str) -> web.Response:
        if route := _CALLS.get(path):
            _require_method(request, "POST")
            return await self._call(route, request)
        if page := self._pages.get(path):
            _require_method(request, "GET", "HEAD")
            return await page(request)
        detail = f"unknown path {path[:100]}; / lists the paths"
        raise Problem(GatewayError.NOT_FOUND, detail)

    async def _call(self, route: Route, request: web.BaseRequest) -> web.Response:
        if self._tokens is not None:
            # Before any byte of the body is read.
            authorize(self._tokens, request, route.roles)
        if request.rel_url.raw_query_string:
            detail = "a call takes no query: send its fields in the JSON body"
            raise Problem(Code.BAD_REQUEST, detail)
        message = parse(route, await self._bodies.read(request))
        headers = propagated_headers(request)
        try:
            with tracing.span(f"POST {route.path}", "SERVER", headers) as propagated:
                reply = await self._client.request(message, propagated)
        except TimeoutError as error:
            log.warning("event=timeout path=%s correlation=%s", route.path, error)
            detail = (
                "no reply arrived in time; the request may still be processed:"
                " retry with the same Idempotency-Key"
            )
            raise Problem(GatewayError.TIMEOUT, detail) from None
        return _response(route, reply)

    async def _ready(self, _request: web.BaseRequest) -> web.Response:
        if not self._client.ready:
            raise Problem(Code.UNAVAILABLE, "Kafka can't be reached")
        return web.Response(body=b'{"status":"ready"}', content_type=JSON)


@cache
def _metrics_of(path: str, outcome: str) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(path, outcome), SECONDS.labels(path, outcome)


async def _metrics(request: web.BaseRequest) -> web.Response:
    encode, media_type = choose_encoder(request.headers.get("Accept", ""))
    return web.Response(body=encode(REGISTRY), headers={"Content-Type": media_type})


async def _show(page: Page, _request: web.BaseRequest) -> web.Response:
    charset = "utf-8" if page.media_type.startswith("text/") else None
    return web.Response(body=page.content, content_type=page.media_type, charset=charset)


def _require_method(request: web.BaseRequest, *methods: str) -> None:
    if request.method not in methods:
        allowed = ", ".join(methods)
        detail = f"{request.method[:20]} is not allowed for this path; allowed: {allowed}"
        raise Problem(GatewayError.METHOD_NOT_ALLOWED, detail, {"Allow": allowed})


def _response(route: Route, value: bytes) -> web.Response:
    reply: Contract | ValidationError
    try:
        reply = _decode_reply(value)
    except ValidationError as error:
        reply = error
    if isinstance(reply, Refused):
        raise Problem(reply.code, reply.text)
    if not isinstance(reply, route.reply):
        log.error("event=bad-reply path=%s error=%r", route.path, reply)
        raise Problem(GatewayError.INTERNAL, "the reply is invalid")
    beginning = _BEGINNINGS[route.reply]
    if value.startswith(beginning):  # valid JSON, so it need not be written again
        body = b"{" + value[len(beginning) :]
    else:
        body = reply.model_dump_json(exclude={"type"}).encode()
    return web.Response(body=body, content_type=JSON)
