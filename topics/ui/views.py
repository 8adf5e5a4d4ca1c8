"""Topics and records as the pages show them."""

import json
from io import StringIO
from typing import NamedTuple, Self

from aiokafka.structs import ConsumerRecord
from pydantic_core import from_json

from schemas.contract import Item
from schemas.examples import EXAMPLES
from schemas.product import PriceCart
from topics.catalog import TOPIC_OF, TOPICS
from topics.kafka.formatting import decoded, escape, format_timestamp
from topics.topic import Topic, TopicKind, wire_type

_TOPICS = {topic.name: topic for topic in TOPICS}
_MAX_LINE_CHARS = 160
_INDENTED = json.JSONEncoder(ensure_ascii=False, indent=2)
_MAX_GROWTH = 10

# Requests between services have no example elsewhere.
_BETWEEN_SERVICES = PriceCart(user=42, items=(Item(sku=1076963, count=2),))
_BODIES = (*(example.request for example in EXAMPLES.values()), _BETWEEN_SERVICES)


class RecordView(NamedTuple):
    """A record as text; `pretty_json` is empty for a short value."""

    when: str
    place: str
    key: str
    headers: tuple[tuple[str, str], ...]
    value: str
    pretty_json: str

    @classmethod
    def of(cls, record: ConsumerRecord) -> Self:
        """Return the view of a record."""
        value = _value(record.value)
        return cls(
            when=format_timestamp(record.timestamp),
            place=f"{record.partition}@{record.offset}",
            key=escape(record.key),
            headers=tuple((name, escape(value)) for name, value in record.headers),
            value=value,
            pretty_json=_pretty_json(value) if len(value) > _MAX_LINE_CHARS else "",
        )

    def matches(self, text: str) -> bool:
        """Return whether key, headers or value have a text."""
        headers = (text for header in self.headers for text in header)
        return any(text in part for part in (self.key, self.value, *headers))


def topic_of(name: str) -> Topic:
    """Return the topic of a name, which may not be a topic of the shop."""
    return _TOPICS.get(name) or Topic(name, TopicKind.REPLIES, "Not a topic of the shop.")


def example_bodies(topic: Topic) -> dict[str, str]:
    """Return example values of a topic of requests, by type of message."""
    bodies = (body for body in _BODIES if TOPIC_OF[type(body)] is topic)
    return {wire_type(type(body)): body.model_dump_json() for body in bodies}


def _value(value: bytes | None) -> str:
    if value is None:
        return "null: deleted"
    text = decoded(value)
    return f"0x{value.hex()}" if text is None else text


def _pretty_json(value: str) -> str:
    text = StringIO()
    try:
        # The depth that json.loads accepts depends on the version of Python.
        for part in _INDENTED.iterencode(from_json(value)):
            text.write(part)
            if text.tell() > _MAX_GROWTH * len(value):  # deep nesting makes it quadratic
                return value
    except ValueError:
        return value
    return text.getvalue()
