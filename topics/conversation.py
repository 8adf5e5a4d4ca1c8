"""The headers of a conversation, named as Spring's and NestJS' clients name them."""

from collections.abc import Sequence
from contextvars import ContextVar

CORRELATION_ID = "kafka_correlationId"
REPLY_TOPIC = "kafka_replyTopic"
REPLY_PARTITION = "kafka_replyPartition"
IDEMPOTENCY_KEY = "idempotency-key"
ORIGIN = "origin"
PURCHASE = "purchase"
EVENT_ID = "event-id"
TRACE = ("traceparent", "tracestate")

ABOUT: ContextVar[Sequence[tuple[str, bytes]]] = ContextVar("about", default=())
"""The headers of the conversation that a task is about: its log lines tell their ids."""
