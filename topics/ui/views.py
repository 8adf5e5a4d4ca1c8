"""Topics and records as the pages show them."""

import json
from collections.abc import Iterator
from io import StringIO
from typing import NamedTuple, Self

from aiokafka.structs import ConsumerRecord
from pydantic_core import from_json

from schemas.contract import Contract, Item
from schemas.examples import EXAMPLES
from schemas.product import PriceCart
from topics.catalog import TOPIC_OF, TOPICS
from topics.kafka.formatting import decoded, escape, format_timestamp
from topics.topic import Topic, TopicKind

_OURS = {topic.name: topic for topic in TOPICS}
_WIDEST = 160
_INDENTED = json.JSONEncoder(ensure_ascii=False, indent=2)
_LONGEST_INDENTED = 10

# What is asked between services only is no call, and has no example elsewhere.
_BETWEEN_SERVICES = (PriceCart(user=42, items=(Item(sku=1076963, count=2),)),)
_BODIES = (*(one.request for one in EXAMPLES.values()), *_BETWEEN_SERVICES)


class TopicView(NamedTuple):
    """A line in the list of topics.

    Attributes:
        offsets: how many are in use: the records, less what compaction took away.
    """

    topic: Topic
    partitions: int
    offsets: int


class RecordView(NamedTuple):
    """A record, all of it text.

    Attributes:
        place: partition@offset.
        value: as it lies there.
        pretty_json: the value in several lines; empty where one is enough.
    """

    when: str
    place: str
    key: str
    headers: tuple[tuple[str, str], ...]
    value: str
    pretty_json: str

    @classmethod
    def of(cls, record: ConsumerRecord) -> Self:
        """Make everything legible."""
        value = _value(record.value)
        return cls(
            when=format_timestamp(record.timestamp),
            place=f"{record.partition}@{record.offset}",
            key=escape(record.key),
            headers=tuple((name, escape(said)) for name, said in record.headers),
            value=value,
            pretty_json=_laid_out(value) if len(value) > _WIDEST else "",
        )

    def matches(self, text: str) -> bool:
        """Say whether a text is anywhere in key, headers or value."""
        headers = (said for header in self.headers for said in header)
        return any(text in part for part in (self.key, self.value, *headers))


def topic_of(name: str) -> Topic:
    """Return the topic of that name; there may be others than the shop's."""
    return _OURS.get(name) or Topic(name, TopicKind.REPLIES, "None of the shop's own.")


def example_bodies(topic: Topic) -> dict[str, str]:
    """Return something to send to a topic of requests, by type of message."""
    asked: list[Contract] = [body for body in _BODIES if TOPIC_OF[type(body)] is topic]
    texts = [body.model_dump_json() for body in asked]
    return {json.loads(text)["type"]: text for text in texts}


def _value(value: bytes | None) -> str:
    if value is None:
        return "null: deleted"
    text = decoded(value)
    return f"0x{value.hex()}" if text is None else text


def _laid_out(value: str) -> str:
    try:
        # The depth that json.loads accepts depends on the version of Python.
        parts = _INDENTED.iterencode(from_json(value))
        return _joined(parts, _LONGEST_INDENTED * len(value))
    except ValueError:
        return value


def _joined(parts: Iterator[str], most: int) -> str:
    """Join texts.

    Raises:
        ValueError: the sum is longer; deep nesting makes indentation grow by the square.
    """
    text = StringIO()
    for part in parts:
        if text.tell() + len(part) > most:
            raise ValueError(f"longer than {most} characters")
        text.write(part)
    return text.getvalue()
