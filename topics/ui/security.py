"""Who is served, and what becomes of errors."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from topics.kafka.answering import NoAnswerError
from topics.kafka.connection import KafkaAuthenticationError
from topics.kafka.reader import ReadError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_AT_HOME = ("127.0.0.1", "localhost")
_SAFE = {
    # Whatever is in a record, the browser runs none of it and asks nobody else for it.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline';"
    " img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


@web.middleware
async def same_origin_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serve a browser on this machine, and only for our own pages.

    Any page in it could send a form to this port, or have a name of its own lead here.
    """
    if not _is_from_here(request):
        raise web.HTTPForbidden(text="this is for pages of 127.0.0.1 alone")
    try:
        response = await handler(request)
    except web.HTTPException as told:
        told.headers.update(_SAFE)
        raise
    response.headers.update(_SAFE)
    return response


def _is_from_here(request: web.Request) -> bool:
    try:
        host, here = request.url.host, str(request.url.origin())
    except ValueError:  # no such port, for one
        return False
    from_us = request.headers.get("Origin") in (None, here)
    from_afar = request.headers.get("Sec-Fetch-Site") == "cross-site"
    return host in _AT_HOME and from_us and not from_afar


@web.middleware
async def errors_as_text(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer in a line when a topic or Kafka itself is not there."""
    try:
        return await handler(request)
    except ReadError as missing:
        raise web.HTTPNotFound(text=str(missing)) from missing
    except NoAnswerError as silent:
        raise web.HTTPGatewayTimeout(text=str(silent)) from silent
    except KafkaAuthenticationError as refused:
        raise web.HTTPBadGateway(text=str(refused)) from refused
    except MessageSizeTooLargeError as large:
        text = f"the record is too large: {large}"
        raise web.HTTPBadRequest(text=text) from large
    except (KafkaError, OSError, TimeoutError) as error:
        raise web.HTTPBadGateway(text=f"Kafka: {str(error) or repr(error)}") from error
