"""What a person sees who opens the gateway in a browser: plain text, one screen."""

from gateway.routes import ROUTES, Route
from schemas.contract import Contract


def _fields(contract: type[Contract]) -> str:
    names = (field.alias or name for name, field in contract.model_fields.items())
    return ", ".join(name for name in names if name != "type")


def _line(route: Route) -> str:
    asks = f"{{{_fields(route.asks)}}}"
    answers = f"{{{_fields(route.answers)}}}"
    return f"  {route.path:<16}{asks:<30}{answers:<24}{route.doc}"


START_PAGE = """\
The shop. Each call is a POST with a JSON body; numbers are JSON numbers.

  call            asks                           answers

{calls}

Errors are application/problem+json (RFC 9457). An Idempotency-Key header makes it safe
to ask again. GET /openapi.json: all of this for programs. GET /livez, /readyz, /metrics:
the state of this gateway.
""".format(calls="\n".join(map(_line, ROUTES)))
