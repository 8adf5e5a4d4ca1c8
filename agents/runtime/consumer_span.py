"""A span for each consumed record."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from aiokafka.structs import ConsumerRecord

from agents.runtime.deserializer import Envelope
from topics.telemetry import tracing


@contextmanager
def consumer_span(envelope: Envelope, record: ConsumerRecord) -> Iterator[Envelope]:
    """Open the span of a record; the messages that it causes carry the span.

    Yields:
        The envelope with the trace of the span; without tracing, the same envelope.
    """
    if not tracing.is_on():
        yield envelope
        return
    reply_context = envelope.reply_context
    attributes: dict[str, str | int] = {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": record.topic,
        "messaging.destination.partition.id": str(record.partition),
        "messaging.kafka.offset": record.offset,
        "shop.request": type(envelope.request).__name__,
    }
    name = f"process {record.topic}"
    with tracing.span(name, "CONSUMER", reply_context.trace, attributes) as trace:
        yield replace(envelope, reply_context=replace(reply_context, trace=tuple(trace)))
