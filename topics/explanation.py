"""Explains why a record is invalid, with the topic of its type."""

from functools import cache

from pydantic import ValidationError

from schemas.explanation import Explanation
from topics.catalog import GATEWAY_REPLIES, TOPIC_OF
from topics.topic import Topic, wire_types

_TOPICS = dict.fromkeys(GATEWAY_REPLIES.types, "*.replies") | {
    name: topic.name
    for contract, topic in TOPIC_OF.items()
    for name in wire_types(contract)
}


def explain(topic: Topic, error: ValidationError, value: bytes) -> str:
    """Return the reasons why a value is not a message of a topic."""
    return _explanation(topic).explain(error, value)


@cache
def _explanation(topic: Topic) -> Explanation:
    return Explanation("value", topic.types, _TOPICS)
