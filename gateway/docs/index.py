"""What a person sees who opens the gateway in a browser: what this is, and where to go."""

from html import escape

from gateway.docs.html import code, link, page, table
from gateway.routes import ROUTES, Route
from schemas.contract import Contract

_PLACES = (
    ("docs", "Try the calls", "the HTTP surface in Swagger UI"),
    ("events", "Topics and messages", "the Kafka surface, for people"),
    ("openapi.json", "openapi.json", "the HTTP surface for programs (OpenAPI 3.1)"),
    ("asyncapi.json", "asyncapi.json", "the Kafka surface for programs (AsyncAPI 3.0)"),
    ("livez", "livez", "whether this gateway lives"),
    ("readyz", "readyz", "whether it reaches Kafka"),
    ("metrics", "metrics", "what it counts, for Prometheus"),
)
_ABOUT = """\
<p>A marketplace back end of message-driven services over Kafka: carts, orders and stock.
This gateway is its HTTP door; the same calls go straight over Kafka.</p>"""
_CALLS = """\
<h2>The calls</h2>
<p>Each is a <code>POST</code> with a JSON body; numbers are JSON numbers. For example:</p>
<pre>curl -d '{"sku":1076963}' http://127.0.0.1:8080/stocks</pre>"""
_ERRORS = """\
<p>Errors are <code>application/problem+json</code> (RFC 9457) with a <code>code</code>. An
<code>Idempotency-Key</code> header makes it safe to ask again. Where the operator has set
<code>GATEWAY_TOKENS</code> each call needs <code>Authorization: Bearer</code> and a
token.</p>"""


def start_page() -> str:
    """Return the page."""
    places = ((link(where, name), escape(what)) for where, name, what in _PLACES)
    calls = table(("call", "asks", "answers", ""), map(_row, ROUTES))
    shown = table(("where", "what"), places)
    return page("The shop", _ABOUT, shown, _CALLS, calls, _ERRORS)


def _row(route: Route) -> tuple[str, ...]:
    asks, answers = _fields(route.request), _fields(route.reply)
    return code(route.path), code(asks), code(answers), escape(route.doc)


def _fields(contract: type[Contract]) -> str:
    names = (field.alias or name for name, field in contract.model_fields.items())
    return f"{{{', '.join(name for name in names if name != 'type')}}}"
