"""The headers of records, named as Spring's and NestJS' clients name them."""

from collections.abc import Sequence
from contextvars import ContextVar

CORRELATION_ID = "kafka_correlationId"
REPLY_TOPIC = "kafka_replyTopic"
REPLY_PARTITION = "kafka_replyPartition"
NEST_IS_DISPOSED = "kafka_nest-is-disposed"
IDEMPOTENCY_KEY = "idempotency-key"
KEY_PATTERN = "[!-~]{1,128}"
"""The values of an idempotency key: visible ASCII."""

ORIGIN = "origin"
MOVED = "moved"
"""Of a first record that a repartition moved: only so does it have an origin."""

PURCHASE = "purchase"
EVENT_ID = "event-id"
TRACE = ("traceparent", "tracestate")
PROPAGATED = (PURCHASE,)
"""Extra headers that rules give a message; the messages that it causes carry them, too."""

LOG_CONTEXT: ContextVar[Sequence[tuple[str, bytes]]] = ContextVar("log_context", default=())
"""The headers of the record that a task processes; its log lines have their ids."""


def trace_id(traceparent: bytes) -> str:
    """Return the id in a W3C `traceparent`: 32 hexadecimal digits; "" if there is none."""
    _version, _, rest = traceparent.decode("latin-1").partition("-")
    return rest.partition("-")[0]
