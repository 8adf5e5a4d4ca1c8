"""Dead letters: their locations, how they are read from Kafka, and how they are printed."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

import click
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from topics.catalog import DEAD_LETTERS
from topics.cli import CommandError
from topics.kafka.formatting import decoded, escape, format_timestamp
from topics.kafka.location import RecordLocation
from topics.kafka.reader import OffsetRange, TopicReader
from topics.topic import Topic

SOURCES: dict[str, Topic] = {dead.name: source for source, dead in DEAD_LETTERS.items()}
"""The topic of origin, by the name of the dead letter topic."""

DLQ_HEADER_PREFIX = "dlq."
"""The prefix of the headers that describe the failure."""

LOCATION = "TOPIC-PARTITION@OFFSET"
_HEX_BYTES = 32
_MISSING = "?"


class Summary(NamedTuple):
    """A dead letter in a list; older ones compare as smaller."""

    timestamp: int
    location: RecordLocation
    source: str
    reason: str


def parse_location(text: str) -> RecordLocation:
    """Return the location of a dead letter.

    Raises:
        click.BadParameter: the text is no such location.
    """
    with suppress(ValueError):
        location = RecordLocation.parse(text)
        if location.topic in SOURCES:
            return location
    expected = f"{LOCATION}, where TOPIC is one of {', '.join(SOURCES)}"
    raise click.BadParameter(f"{text!r} is not {expected}")


async def newest(reader: TopicReader, topics: Iterable[Topic], limit: int) -> list[Summary]:
    """Return summaries of the newest records of dead letter topics, the newest last."""
    return [summary(record) for record in await reader.tail(topics, limit)]


async def read_at(
    reader: TopicReader, locations: Iterable[RecordLocation]
) -> list[ConsumerRecord]:
    """Return the dead letters at these locations.

    Raises:
        CommandError: one of them does not exist.
    """
    return [await _at(reader, location) for location in dict.fromkeys(locations)]


async def _at(reader: TopicReader, location: RecordLocation) -> ConsumerRecord:
    topic = DEAD_LETTERS[SOURCES[location.topic]]
    tp = TopicPartition(location.topic, location.partition)
    held = (await reader.offset_ranges(await reader.partitions([topic]))).get(tp)
    if held is None:
        raise CommandError(f"{location}: there is no such partition")
    if held.begin <= location.offset < held.end:
        span = {tp: OffsetRange(location.offset, location.offset + 1)}
        async for _, records in reader.read(span):
            for record in records:
                if record.offset == location.offset:
                    return record
    offsets = f"{held.begin} to {held.end - 1}" if held.begin < held.end else "nothing"
    raise CommandError(
        f"{location}: there is no such offset; the partition holds {offsets}"
    )


def dlq_headers(record: ConsumerRecord) -> dict[str, str]:
    """Return the headers about the failure: reason, topic, partition, offset."""
    return {
        name.removeprefix(DLQ_HEADER_PREFIX): (value or b"").decode(
            "utf-8", "backslashreplace"
        )
        for name, value in record.headers
        if name.startswith(DLQ_HEADER_PREFIX)
    }


def summary(record: ConsumerRecord) -> Summary:
    """Return the summary of a dead letter."""
    headers = dlq_headers(record)
    topic, partition, offset = (
        headers.get(name, _MISSING) for name in ("topic", "partition", "offset")
    )
    source = f"{topic}-{partition}@{offset}"
    reason = headers.get("reason", _MISSING)
    return Summary(record.timestamp, RecordLocation.of(record), source, reason)


def table(summaries: list[Summary]) -> Iterator[str]:
    """Yield an aligned line for each summary."""
    width = max((len(str(each.location)) for each in summaries), default=0)
    source_width = max((len(each.source) for each in summaries), default=0)
    for timestamp, location, source, reason in summaries:
        yield (
            f"{location!s:<{width}}  {format_timestamp(timestamp)}"
            f"  from {source:<{source_width}}  {reason}"
        )


def details(record: ConsumerRecord) -> Iterator[str]:
    """Yield all of a dead letter: headers, key, value."""
    _, location, source, reason = summary(record)
    yield str(location)
    yield f"  when     {format_timestamp(record.timestamp)}"
    yield f"  from     {source}"
    yield f"  reason   {reason}"
    yield f"  key      {escape(record.key)}"
    yield f"  headers  {len(record.headers)}"
    for name, value in record.headers:
        yield f"    {name}: {escape(value)}"
    yield f"  value    {_format_of(record.value)}"
    yield from _value_lines(record.value)


def _format_of(value: bytes | None) -> str:
    if value is None:
        return "null"
    text = decoded(value)
    kind = "hex" if text is None else "JSON" if _is_json(text) else "text"
    return f"{len(value)} bytes, {kind}"


def _value_lines(value: bytes | None) -> Iterator[str]:
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
