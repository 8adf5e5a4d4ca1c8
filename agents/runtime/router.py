"""Routes each record: to its handler, to its owner's partition, or to the dead letters."""

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
from agents.runtime.metrics import DEAD_LETTERS
from schemas.contract import Code, Refused
from topics.catalog import DEFAULT_REPLIES
from topics.kafka.location import partition_of
from topics.topic import Topic


class RecordRouter:
    """Routes the records of a topic.

    Args:
        topic: of the records.
        partitions: how many it has.
    """

    def __init__(self, topic: Topic, partitions: int) -> None:
        self._topic = topic
        self._partitions = partitions
        DEAD_LETTERS.labels(topic.name)  # from zero, or Prometheus would miss the first

    def route(self, record: ConsumerRecord, out: RecordCollector) -> Envelope | None:
        """Deserialize a record; forward a misrouted one, dead-letter an invalid one.

        Returns:
            The request, if this partition owns it; None: `out` has all that follows.
        """
        reply_context = parse_reply_context(record)
        invalid_topic = reply_context.invalid_reply_topic
        try:
            envelope = deserialize(self._topic, record, reply_context)
        except InvalidRecord as invalid:
            out.dead_letter(record, str(invalid))
            if reply_context.reply_topic is not None or invalid_topic is not None:
                self._refuse(str(invalid), record, reply_context, out)
            return None
        if invalid_topic is not None:
            text = f"no reply topic of callers: {invalid_topic[:300]}"
            if self._topic in DEFAULT_REPLIES:
                self._refuse(text, record, reply_context, out)
            else:  # an event has no reply, and must not vanish
                out.dead_letter(record, text)
            return None
        if partition_of(envelope.key, self._partitions) != record.partition:
            out.forward(record, envelope)
            return None
        return envelope

    def _refuse(
        self,
        text: str,
        record: ConsumerRecord,
        reply_context: ReplyContext,
        out: RecordCollector,
    ) -> None:
        key = record.key if len(record.key or b"") <= MAX_KEY else None
        out.reply(Refused(code=Code.BAD_REQUEST, text=text), reply_context, key)
