"""Takes in each record: to its handler, its owner's partition, or the dead letters."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka.structs import ConsumerRecord

from agents.runtime.collector import RecordCollector
from agents.runtime.deserializer import (
    MAX_KEY,
    Envelope,
    InvalidRecord,
    ReplyContext,
    deserialize,
    parse_reply_context,
)
from schemas.contract import Code, Refused
from topics.catalog import DEFAULT_REPLIES
from topics.kafka.location import partition_of
from topics.telemetry import tracing
from topics.topic import Topic


class RecordRouter:
    """Routes the records of a topic.

    Args:
        partitions: of the topic.
        generation: how often the topic was repartitioned.
    """

    def __init__(self, topic: Topic, partitions: int, generation: int = 0) -> None:
        self._topic = topic
        self._partitions = partitions
        self._generation = generation

    def route(self, record: ConsumerRecord, out: RecordCollector) -> Envelope | None:
        """Deserialize a record; forward a misrouted one, dead-letter an invalid one.

        Returns:
            The request, if this partition owns it; None: `out` has all that follows.
        """
        reply_context = parse_reply_context(record)
        invalid_topic = reply_context.invalid_reply_topic
        try:
            envelope = deserialize(self._topic, record, reply_context, self._generation)
        except InvalidRecord as invalid:
            out.dead_letter(record, str(invalid), self._generation)
            if reply_context.reply_topic is not None or invalid_topic is not None:
                _refuse(str(invalid), record, reply_context, out)
            return None
        if invalid_topic is not None:
            text = f"no reply topic of callers: {invalid_topic[:300]}"
            if self._topic in DEFAULT_REPLIES:
                _refuse(text, record, reply_context, out)
            else:  # an event has no reply, and must not vanish
                out.dead_letter(record, text, self._generation)
            return None
        if partition_of(envelope.key, self._partitions) != record.partition:
            out.forward(record, envelope)
            return None
        return envelope


def _refuse(
    text: str, record: ConsumerRecord, reply_context: ReplyContext, out: RecordCollector
) -> None:
    key = record.key if len(record.key or b"") <= MAX_KEY else None
    out.reply(Refused(code=Code.BAD_REQUEST, text=text), reply_context, key)


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
        traced = reply_context._replace(trace=tuple(trace))
        yield envelope._replace(reply_context=traced)
