"""Dead letters as operators see them: which one is meant, and what is told of it."""

import argparse
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from aiokafka.structs import ConsumerRecord

from topics.catalog import DEAD_LETTERS
from topics.kafka.formatting import decoded, escape, format_timestamp
from topics.kafka.location import RecordLocation
from topics.topic import Topic

SOURCES: dict[str, Topic] = {dead.name: source for source, dead in DEAD_LETTERS.items()}
"""Where dead letters come from, by the name of their topic."""

DLQ_HEADER_PREFIX = "dlq."
"""How the names of those headers begin that tell why a letter is dead."""

_FORM = "TOPIC-PARTITION@OFFSET"
_HEX_BYTES = 32
_UNTOLD = "?"


class Summary(NamedTuple):
    """What a list tells of a dead letter; the older ones are the lesser."""

    timestamp: int
    place: RecordLocation
    source: str
    reason: str


def parse_location(text: str) -> RecordLocation:
    """Read the place of a dead letter.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    with suppress(ValueError):
        location = RecordLocation.parse(text)
        if location.topic in SOURCES:
            return location
    wanted = f"{_FORM}, where TOPIC is one of {', '.join(SOURCES)}"
    raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")


def dlq_headers(record: ConsumerRecord) -> dict[str, str]:
    """Return what a dead letter says of itself: reason, topic, partition, offset."""
    return {
        name.removeprefix(DLQ_HEADER_PREFIX): (value or b"").decode(
            "utf-8", "backslashreplace"
        )
        for name, value in record.headers
        if name.startswith(DLQ_HEADER_PREFIX)
    }


def summary(record: ConsumerRecord) -> Summary:
    """Say of a dead letter what fits into a line."""
    told = dlq_headers(record)
    topic, partition, offset = (
        told.get(name, _UNTOLD) for name in ("topic", "partition", "offset")
    )
    source = f"{topic}-{partition}@{offset}"
    reason = told.get("reason", _UNTOLD)
    return Summary(record.timestamp, RecordLocation.of(record), source, reason)


def table(summaries: list[Summary]) -> Iterator[str]:
    """Yield a line for each, aligned."""
    width = max((len(str(each.place)) for each in summaries), default=0)
    source_width = max((len(each.source) for each in summaries), default=0)
    for timestamp, where, source, reason in summaries:
        yield (
            f"{where!s:<{width}}  {format_timestamp(timestamp)}"
            f"  from {source:<{source_width}}  {reason}"
        )


def details(record: ConsumerRecord) -> Iterator[str]:
    """Yield all that there is to a dead letter."""
    _, where, source, reason = summary(record)
    yield str(where)
    yield f"  when     {format_timestamp(record.timestamp)}"
    yield f"  from     {source}"
    yield f"  reason   {reason}"
    yield f"  key      {escape(record.key)}"
    yield f"  headers  {len(record.headers)}"
    for name, value in record.headers:
        yield f"    {name}: {escape(value)}"
    yield f"  value    {_what(record.value)}"
    yield from _long(record.value)


def _what(value: bytes | None) -> str:
    if value is None:
        return "null"
    text = decoded(value)
    kind = "hex" if text is None else "JSON" if _is_json(text) else "text"
    return f"{len(value)} bytes, {kind}"


def _long(value: bytes | None) -> Iterator[str]:
    if not value:
        return
    text = decoded(value)
    if text is not None:
        yield from text.split("\n")
        return
    for begin in range(0, len(value), _HEX_BYTES):
        yield value[begin : begin + _HEX_BYTES].hex(" ")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
