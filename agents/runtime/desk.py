"""Where records come in: poison to the dead letters, strangers to their owners."""

from aiokafka.structs import ConsumerRecord

from agents.runtime.inbox import MAX_KEY, Poison, Received, converse, receive
from agents.runtime.outbox import Said
from agents.worker.press import partition_of
from schemas.contract import Code, Refused
from topics.catalog import DEFAULT_REPLIES
from topics.topic import Topic


class Desk:
    """Takes the records of a topic.

    Args:
        topic: which one.
        partitions: how many it has.
    """

    def __init__(self, topic: Topic, partitions: int) -> None:
        self._topic = topic
        self._partitions = partitions

    def take(self, record: ConsumerRecord, said: Said) -> Received | None:
        """Read a record.

        Returns:
            The request, if it is one and its owner is here. Whatever else there is to do
            about the record has been said, and the next one can be served (R6, R7).
        """
        conversation = converse(record)
        key = record.key if len(record.key or b"") <= MAX_KEY else None
        if conversation.refused_topic is not None:
            text = f"no reply topic of callers: {conversation.refused_topic[:300]}"
            if self._topic in DEFAULT_REPLIES:
                said.reply(Refused(code=Code.BAD_REQUEST, text=text), conversation, key)
            else:  # a fact: nobody looks for an answer to it, and it must not vanish
                said.bury(record, text)
            return None
        try:
            received = receive(self._topic, record, conversation)
        except Poison as poison:
            said.bury(record, str(poison))
            if conversation.reply_topic is not None:
                no = Refused(code=Code.BAD_REQUEST, text=str(poison))
                said.reply(no, conversation, key)
            return None
        if partition_of(received.key, self._partitions) != record.partition:
            said.forward(record, received)
            return None
        return received
