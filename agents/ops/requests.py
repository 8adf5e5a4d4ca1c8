"""Requests of tools: options, records, refusals, committed offsets, resulting rows."""

import asyncio
import json
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import wraps
from typing import Annotated, NamedTuple, NoReturn

import click
from aiokafka.structs import RecordMetadata
from pydantic import Field, TypeAdapter

from agents.runtime.changelog import decode_row, supersedes
from agents.runtime.deserializer import REPLY_TOPIC
from agents.runtime.producer import ProducerRecord
from agents.runtime.rows import Row
from schemas.contract import Contract
from topics import cli
from topics.catalog import TOPIC_OF
from topics.kafka.reader import TopicReader
from topics.kafka.request_reply import REPLIES
from topics.layout import layout_of
from topics.topic import Topic
from topics.topology import GROUPS

POLL_SECONDS = 0.2
_MAX_SECONDS = 1_000_000_000
_SECONDS = TypeAdapter[float](Annotated[float, Field(gt=0, le=_MAX_SECONDS)])


class RequestOptions(NamedTuple):
    """The reply topic of a tool, and the timeout of each outcome."""

    replies: str
    timeout: timedelta


class RefusedReply(NamedTuple):
    """A refusal; its code may be unknown here, since workers may be newer than tools."""

    code: str
    text: str

    def __str__(self) -> str:
        return f"{self.code} ({self.text})"


def _reply_topic(text: str) -> str:
    if REPLY_TOPIC.fullmatch(text) is None:
        raise ValueError
    return text


def request_options(command: Callable[..., NoReturn]) -> Callable[..., NoReturn]:
    """Decorate a command that takes `options`, made of `--replies` and `--patience`."""

    @click.option(
        "--replies",
        type=cli.parsed(
            _reply_topic,
            "the name of a topic of replies, which ends in .replies or .reply",
        ),
        default=REPLIES,
        metavar="TOPIC",
        help="Topic of the replies; created if it is missing.",
    )
    @click.option(
        "--patience",
        type=cli.parsed(
            _SECONDS.validate_strings, f"a number above zero, up to {_MAX_SECONDS}"
        ),
        default="20",
        metavar="SECONDS",
        help="Timeout of each outcome.",
    )
    @wraps(command)
    def wrapped(replies: str, patience: float, **others: object) -> NoReturn:
        command(options=RequestOptions(replies, timedelta(seconds=patience)), **others)

    return wrapped


def record_of(request: Contract, *headers: tuple[str, bytes]) -> ProducerRecord:
    """Return the record of a request, with additional headers."""
    topic = TOPIC_OF[type(request)]
    key, value = topic.key_of(request), request.to_json()
    return ProducerRecord(topic.name, key, value, [*headers])


def refusal(reply: bytes) -> RefusedReply | None:
    """Return the refusal in a reply; None for another reply."""
    fields = json.loads(reply)
    if fields["type"] != "refused":
        return None
    return RefusedReply(str(fields["code"]), str(fields["text"]))


async def wait_until_committed(
    reader: TopicReader, topic: Topic, sent: RecordMetadata
) -> None:
    """Wait until the consumer group of a topic has committed a record."""
    while not await is_committed(reader, topic, sent):  # noqa: ASYNC110 -- Kafka has no event
        await asyncio.sleep(POLL_SECONDS)


async def is_committed(reader: TopicReader, topic: Topic, sent: RecordMetadata) -> bool:
    """Return whether the consumer group of a topic has committed a record.

    All records that follow from it have arrived before the commit.
    """
    committed = await reader.committed({topic: GROUPS[topic]})
    return committed.get(sent.topic_partition, 0) > int(sent.offset)


async def newest_rows(
    reader: TopicReader, changelog: Topic, key: bytes, matches: Callable[[Row], bool]
) -> Iterable[Row]:
    """Return the newest version, as in a recovery, of each row that ever matched.

    Only the partition of the key is read.
    """
    rows: dict[bytes, Row] = {}
    generation = (await layout_of(reader)).generation
    async for record in reader.read_partition_of(changelog, key):
        row = decode_row(record, generation)
        known = rows.get(row.key)
        if matches(row) if known is None else supersedes(row, known):
            rows[row.key] = row
    return rows.values()
