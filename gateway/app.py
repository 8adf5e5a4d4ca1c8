"""Routes HTTP requests to calls, probes and pages, and returns their responses."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from pydantic import ValidationError

from gateway import metrics
from gateway.authorization import OPEN, Authorizer
from gateway.body import BodyReader, parse
from gateway.docs.pages import Page
from gateway.headers import propagated_headers
from gateway.kafka.correlator import Overloaded
from gateway.kafka.request_producer import DeliveryError
from gateway.kafka.request_reply import RequestReplyClient
from gateway.problems import GatewayError, Problem
from gateway.routes import ROUTES, Route
from schemas.contract import Code, Refused
from topics.telemetry import tracing

JSON = "application/json"

Probe = Callable[[web.BaseRequest], Awaitable[web.Response]]

log = logging.getLogger(__name__)


class Gateway:
    """Responds to every HTTP request, with a result or a problem document.

    Args:
        client: sends requests over Kafka and returns the replies.
        bodies: reads request bodies.
        pages: static pages, by path.
        authorizer: decides which requests may make a call.

    Attributes:
        draining: set at shutdown; responses then close their connections, so that
            clients send their next call to another gateway.
    """

    def __init__(
        self,
        client: RequestReplyClient,
        bodies: BodyReader,
        pages: Mapping[str, Page],
        authorizer: Authorizer = OPEN,
    ) -> None:
        self.draining = False
        self._client = client
        self._bodies = bodies
        self._pages = pages
        self._authorizer = authorizer
        self._probes: dict[str, Probe] = {
            "/livez": _livez,
            "/readyz": self._ready,
            "/metrics": metrics.exposition,
        }
        self._calls = {route.path: route for route in ROUTES}

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """Respond to a request."""
        began, outcome = time.perf_counter(), metrics.UNEXPECTED
        metrics.IN_FLIGHT.inc()
        try:
            response, outcome = await self._respond(request)
        finally:
            metrics.IN_FLIGHT.dec()
            labels = self._name_of(request), outcome
            metrics.REQUESTS.labels(*labels).inc()
            metrics.SECONDS.labels(*labels).observe(time.perf_counter() - began)
        if self.draining:
            response.force_close()
        return response

    async def _respond(self, request: web.BaseRequest) -> tuple[web.Response, str]:
        try:
            return await self._dispatch(request), metrics.OK
        except Problem as problem:
            return problem.response(), problem.code

    def _name_of(self, request: web.BaseRequest) -> str:
        """Return the label of a path; unknown paths share one, so labels are bounded."""
        path = request.rel_url.raw_path
        known = path in self._calls or path in self._probes or path in self._pages
        return path[1:] or "start page" if known else "unknown"

    async def _dispatch(self, request: web.BaseRequest) -> web.Response:
        path = request.rel_url.raw_path
        if route := self._calls.get(path):
            _require_method(request, "POST")
            self._authorizer.check(request, path)  # before any byte of the body is read
            _must_have_no_query(request)
            return await self._call(route, request)
        if probe := self._probes.get(path):
            _require_method(request, "GET", "HEAD")
            return await probe(request)
        if page := self._pages.get(path):
            _require_method(request, "GET", "HEAD")
            return _page_response(page)
        raise Problem(
            GatewayError.NOT_FOUND, f"unknown path {path[:100]}; / lists the paths"
        )

    async def _call(self, route: Route, request: web.BaseRequest) -> web.Response:
        message = parse(route, await self._bodies.read(request))
        headers = propagated_headers(request)
        try:
            with tracing.span(f"POST {route.path}", "SERVER", headers) as propagated:
                reply = await self._client.request(message, propagated)
        except DeliveryError as error:
            raise Problem(Code.UNAVAILABLE, str(error)) from error
        except Overloaded:
            raise Problem(
                GatewayError.OVERLOADED, "too many calls are waiting for replies"
            ) from None
        except TimeoutError as error:
            log.warning("event=timeout path=%s correlation=%s", route.path, error)
            raise _timeout() from None
        return _respond(route, reply)

    async def _ready(self, _request: web.BaseRequest) -> web.Response:
        if not self._client.ready:
            raise Problem(Code.UNAVAILABLE, "Kafka can't be reached")
        return web.Response(body=b'{"status":"ready"}', content_type=JSON)


async def _livez(_request: web.BaseRequest) -> web.Response:
    return web.Response(body=b'{"status":"alive"}', content_type=JSON)


def _page_response(page: Page) -> web.Response:
    charset = "utf-8" if page.media_type.startswith("text/") else None
    return web.Response(body=page.content, content_type=page.media_type, charset=charset)


def _require_method(request: web.BaseRequest, *methods: str) -> None:
    if request.method not in methods:
        allowed = ", ".join(methods)
        detail = f"{request.method[:20]} is not allowed for this path; allowed: {allowed}"
        raise Problem(GatewayError.METHOD_NOT_ALLOWED, detail, {"Allow": allowed})


def _must_have_no_query(request: web.BaseRequest) -> None:
    if request.rel_url.raw_query_string:
        detail = "a call takes no query: send its fields in the JSON body"
        raise Problem(Code.BAD_REQUEST, detail)


def _timeout() -> Problem:
    detail = (
        "no reply arrived in time; the request may still be processed:"
        " retry with the same Idempotency-Key"
    )
    return Problem(GatewayError.TIMEOUT, detail)


def _respond(route: Route, value: bytes) -> web.Response:
    try:
        reply = route.reply_adapter.validate_json(value)
    except ValidationError as error:
        log.error("event=bad-reply path=%s error=%r", route.path, error)  # noqa: TRY400
        raise Problem(GatewayError.INTERNAL, "the reply is invalid") from None
    if isinstance(reply, Refused):
        raise Problem(reply.code, reply.text)
    body = reply.model_dump_json(exclude={"type"}).encode()
    return web.Response(body=body, content_type=JSON)
