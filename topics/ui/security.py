"""Middlewares: access from this machine only, and errors as text."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from topics.kafka.answering import NoAnswerError
from topics.kafka.connection import KafkaAuthenticationError
from topics.kafka.reader import ReadError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LOCAL_HOSTS = ("127.0.0.1", "localhost")
_SECURITY_HEADERS = {
    # A record may have any content: the browser runs no script and loads nothing.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline';"
    " img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


@web.middleware
async def same_origin_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serve browsers on this machine, and requests of our own pages only.

    Another site could send a form to this port, or resolve its own name to this machine.
    """
    if not _is_local(request):
        raise web.HTTPForbidden(text="only pages of 127.0.0.1 are allowed")
    try:
        response = await handler(request)
    except web.HTTPException as error:
        error.headers.update(_SECURITY_HEADERS)
        raise
    response.headers.update(_SECURITY_HEADERS)
    return response


def _is_local(request: web.Request) -> bool:
    try:
        host, here = request.url.host, str(request.url.origin())
    except ValueError:  # an invalid port, for example
        return False
    same_origin = request.headers.get("Origin") in (None, here)
    cross_site = request.headers.get("Sec-Fetch-Site") == "cross-site"
    return host in _LOCAL_HOSTS and same_origin and not cross_site


@web.middleware
async def errors_as_text(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Return a line of text if a topic is missing or Kafka is unavailable."""
    try:
        return await handler(request)
    except ReadError as error:
        raise web.HTTPNotFound(text=str(error)) from error
    except NoAnswerError as error:
        raise web.HTTPGatewayTimeout(text=str(error)) from error
    except KafkaAuthenticationError as error:
        raise web.HTTPBadGateway(text=str(error)) from error
    except MessageSizeTooLargeError as error:
        text = f"the record is too large: {error}"
        raise web.HTTPBadRequest(text=text) from error
    except (KafkaError, OSError, TimeoutError) as error:
        raise web.HTTPBadGateway(text=f"Kafka: {str(error) or repr(error)}") from error
