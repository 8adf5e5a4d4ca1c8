"""Routes HTTP requests to calls, probes and pages, and returns their responses."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from aiohttp import web
from prometheus_client import (
    REGISTRY,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from pydantic import ValidationError

from gateway.docs.pages import Page
from gateway.kafka.request_producer import DeliveryError
from gateway.kafka.request_reply import Overloaded, RequestReplyClient
from gateway.problems import GatewayError, Problem
from gateway.requests import BodyReader, parse, propagated_headers
from gateway.routes import ROUTES, Route
from gateway.settings import Settings
from gateway.tokens import authorize
from schemas.contract import Code, Contract, Refused
from topics.telemetry import tracing

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

log = logging.getLogger(__name__)


class Gateway:
    """Responds to every HTTP request, with a result or a problem document.

    Args:
        client: sends requests over Kafka and returns the replies.
        pages: static pages, by path.
        settings: the limits and the tokens.
    """

    def __init__(
        self, client: RequestReplyClient, pages: Mapping[str, Page], settings: Settings
    ) -> None:
        self._client = client
        self._bodies = BodyReader(settings)
        self._tokens = settings.gateway_tokens
        self._pages: dict[str, Callable[[web.BaseRequest], Awaitable[web.Response]]] = {
            "/livez": _livez,
            "/readyz": self._ready,
            "/metrics": _metrics,
            **{path: partial(_show, page) for path, page in pages.items()},
        }

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """Respond to a request."""
        began, outcome = time.perf_counter(), UNEXPECTED
        IN_FLIGHT.inc()
        try:
            response, outcome = await self._dispatch(request), OK
        except Problem as problem:
            response, outcome = problem.response(), problem.code
        finally:
            IN_FLIGHT.dec()
            labels = self._name_of(request), outcome
            REQUESTS.labels(*labels).inc()
            SECONDS.labels(*labels).observe(time.perf_counter() - began)
        return response

    def _name_of(self, request: web.BaseRequest) -> str:
        """Return the label of a path; unknown paths share one, so labels are bounded."""
        path = request.rel_url.raw_path
        known = path in _CALLS or path in self._pages
        return path[1:] or "start page" if known else "unknown"

    async def _dispatch(self, request: web.BaseRequest) -> web.Response:
        path = request.rel_url.raw_path
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
            authorize(self._tokens, request)  # before any byte of the body is read
        if request.rel_url.raw_query_string:
            detail = "a call takes no query: send its fields in the JSON body"
            raise Problem(Code.BAD_REQUEST, detail)
        message = parse(route, await self._bodies.read(request))
        return _response(
            route, await self._request(route, message, propagated_headers(request))
        )

    async def _request(
        self, route: Route, message: Contract, headers: tracing.Headers
    ) -> bytes:
        try:
            with tracing.span(f"POST {route.path}", "SERVER", headers) as propagated:
                return await self._client.request(message, propagated)
        except DeliveryError as error:
            raise Problem(Code.UNAVAILABLE, str(error)) from error
        except Overloaded:
            detail = "too many calls are waiting for replies"
            raise Problem(GatewayError.OVERLOADED, detail) from None
        except TimeoutError as error:
            log.warning("event=timeout path=%s correlation=%s", route.path, error)
            detail = (
                "no reply arrived in time; the request may still be processed:"
                " retry with the same Idempotency-Key"
            )
            raise Problem(GatewayError.TIMEOUT, detail) from None

    async def _ready(self, _request: web.BaseRequest) -> web.Response:
        if not self._client.ready:
            raise Problem(Code.UNAVAILABLE, "Kafka can't be reached")
        return web.Response(body=b'{"status":"ready"}', content_type=JSON)


async def _livez(_request: web.BaseRequest) -> web.Response:
    return web.Response(body=b'{"status":"alive"}', content_type=JSON)


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
    try:
        reply = route.reply_adapter.validate_json(value)
    except ValidationError as error:
        log.error("event=bad-reply path=%s error=%r", route.path, error)  # noqa: TRY400
        raise Problem(GatewayError.INTERNAL, "the reply is invalid") from None
    if isinstance(reply, Refused):
        raise Problem(reply.code, reply.text)
    body = reply.model_dump_json(exclude={"type"}).encode()
    return web.Response(body=body, content_type=JSON)
