"""Where records come in: poison to the dead letters, strangers to their owners."""

from aiokafka.structs import ConsumerRecord

from agents.runtime.inbox import (
    MAX_KEY,
    ReplyContext,
    InvalidRecord,
    Envelope,
    parse_reply_context,
    deserialize,
)
from agents.runtime.outbox import RecordCollector
from agents.worker.metrics import DEAD_LETTERS
from agents.worker.press import partition_of
from schemas.contract import Code, Refused
from topics.catalog import DEFAULT_REPLIES
from topics.topic import Topic


class RecordRouter:
    """Takes the records of a topic.

    Args:
        topic: which one.
        partitions: how many it has.
    """

    def __init__(self, topic: Topic, partitions: int) -> None:
        self._topic = topic
        self._partitions = partitions
        DEAD_LETTERS.labels(topic.name)  # a zero, or Prometheus would miss the first one

    def route(self, record: ConsumerRecord, out: RecordCollector) -> Envelope | None:
        """Read a record.

        Returns:
            The request, if it is one and its owner is here. Whatever else there is to do
            about the record has been said, and the next one can be served (R6, R7).
        """
        conversation = parse_reply_context(record)
        refused = conversation.invalid_reply_topic
        try:
            received = deserialize(self._topic, record, conversation)
        except InvalidRecord as poison:
            out.dead_letter(record, str(poison))
            if conversation.reply_topic is not None or refused is not None:
                self._refuse(str(poison), record, conversation, out)
            return None
        if refused is not None:
            text = f"no reply topic of callers: {refused[:300]}"
            if self._topic in DEFAULT_REPLIES:
                self._refuse(text, record, conversation, out)
            else:  # a fact: nobody looks for an answer to it, and it must not vanish
                out.dead_letter(record, text)
            return None
        if partition_of(received.key, self._partitions) != record.partition:
            out.forward(record, received)
            return None
        return received

    def _refuse(
        self,
        text: str,
        record: ConsumerRecord,
        conversation: ReplyContext,
        out: RecordCollector,
    ) -> None:
        key = record.key if len(record.key or b"") <= MAX_KEY else None
        out.reply(Refused(code=Code.BAD_REQUEST, text=text), conversation, key)
