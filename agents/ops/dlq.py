"""Show dead letters, and replay them.

    python -m agents dlq list [TOPIC] [--last N]
    python -m agents dlq show TOPIC-PARTITION@OFFSET [--raw]
    python -m agents dlq replay TOPIC-PARTITION@OFFSET … [--yes]

A replay sends the bytes, key and headers of a dead letter to its topic of origin. The
reply comes to the tool. The replay is the same request as the original: by its
idempotency key, else by its first location. A request that was carried out meanwhile, or
by an earlier replay, counts once. A replay is refused where the state refuses it. A cart
repeats its refusal of a request without an idempotency key.

Exit code: 0 all done; 1 not all done; 2 wrong usage; 130 interrupted.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial

import click
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from agents.ops.dlq_replay import SOURCES, DeadLetterReplay, dlq_headers
from agents.ops.requests import RequestOptions, request_options
from topics import cli
from topics.catalog import DEAD_LETTERS
from topics.kafka.location import RecordLocation
from topics.kafka.reader import OffsetRange, TopicReader
from topics.kafka.request_reply import RequestReplyClient
from topics.kafka.settings import KafkaSettings
from topics.records import decoded, escape, format_timestamp
from topics.target import Target

_LOCATION = "TOPIC-PARTITION@OFFSET"
_HEX_BYTES = 32


def _location(text: str) -> RecordLocation:
    location = RecordLocation.parse(text)
    if location.topic not in SOURCES:
        raise ValueError
    return location


parse_location = cli.parsed(
    _location, f"{_LOCATION}, where TOPIC is one of {', '.join(SOURCES)}"
)


@click.group(help=cli.paragraphs(__doc__))
def dlq() -> None:
    """Show dead letters, and replay them."""


@dlq.command("list", help="Print the newest dead letters, one a line, the newest last.")
@click.argument("topic", type=click.Choice([*SOURCES]), required=False)
@click.option(
    "--last", type=click.IntRange(1), default=100, metavar="N", help="Number of lines."
)
@cli.on_cluster("dlq")
def _list(target: Target, *, topic: str | None, last: int) -> int:
    topics = [dead for dead in DEAD_LETTERS.values() if topic in (None, dead.name)]
    cli.echo(*table(cli.read(target, lambda reader: reader.tail(topics, last))))
    return cli.OK


@dlq.command("show", help="Print all of a dead letter.")
@click.argument("location", type=parse_location, metavar=_LOCATION)
@click.option("--raw", is_flag=True, help="Print only the value, byte for byte.")
@cli.on_cluster("dlq")
def _show(target: Target, *, location: RecordLocation, raw: bool) -> int:
    (dead,) = cli.read(target, partial(_read_at, [location]))
    cli.echo(*([dead.value or b""] if raw else details(dead)))
    return cli.OK


@dlq.command("replay", help="Send dead letters again, and print each outcome.")
@click.argument(
    "locations", type=parse_location, metavar=f"{_LOCATION}...", nargs=-1, required=True
)
@click.option("--yes", is_flag=True, help="Send without a confirmation.")
@request_options
@cli.on_cluster("dlq")
def _replay(
    target: Target, *, locations: list[RecordLocation], yes: bool, options: RequestOptions
) -> int:
    if not yes:
        cli.require_terminal()
    dead = cli.read(target, partial(_read_at, locations))
    cli.echo(*table(dead))
    if not (yes or cli.confirm("Send them again?")):
        raise cli.CommandError("nothing was sent")
    return cli.answer(target, partial(_send, dead, options))


async def _send(
    letters: list[ConsumerRecord], options: RequestOptions, cluster: KafkaSettings
) -> int:
    topics = {dead.topic for dead in letters}
    code = cli.OK
    async with (
        TopicReader(cluster) as reader,
        RequestReplyClient(cluster, options.replies, topics) as client,
    ):
        replay = DeadLetterReplay(client, reader, options.timeout)
        for dead in letters:
            try:
                outcome = await replay.send(dead)
            except cli.CommandError as error:
                outcome, code = str(error), cli.FAILED
            cli.echo(f"{RecordLocation.of(dead)}  {outcome}")
    return code


async def _read_at(
    locations: Iterable[RecordLocation], reader: TopicReader
) -> list[ConsumerRecord]:
    return [await _read(location, reader) for location in dict.fromkeys(locations)]


async def _read(location: RecordLocation, reader: TopicReader) -> ConsumerRecord:
    topic = DEAD_LETTERS[SOURCES[location.topic]]
    tp = TopicPartition(location.topic, location.partition)
    held = (await reader.offset_ranges(await reader.partitions([topic]))).get(tp)
    if held is None:
        raise cli.CommandError(f"{location}: there is no such partition")
    begin, end = max(held.begin, location.offset), min(held.end, location.offset + 1)
    async for _, records in reader.read({tp: OffsetRange(begin, end)}):
        if records:
            return records[0]
    offsets = f"{held.begin} to {held.end - 1}" if held.begin < held.end else "nothing"
    raise cli.CommandError(
        f"{location}: there is no such offset; the partition holds {offsets}"
    )


def _summary(dead: ConsumerRecord) -> dict[str, str]:
    """Return time, source and reason; `?` stands for a missing header."""
    headers = defaultdict(lambda: "?", dlq_headers(dead))
    return {
        "when": format_timestamp(dead.timestamp),
        "from": "{topic}-{partition}@{offset}".format_map(headers),
        "reason": headers["reason"],
    }


def table(letters: Iterable[ConsumerRecord]) -> Iterator[str]:
    """Yield an aligned line for each dead letter."""
    rows = []
    for dead in letters:
        location, about = str(RecordLocation.of(dead)), _summary(dead)
        rows.append((location, about["when"], f"from {about['from']}", about["reason"]))
    return cli.table(rows, "<<<<")


def details(dead: ConsumerRecord) -> Iterator[str]:
    """Yield all of a dead letter: headers, key, value."""
    yield str(RecordLocation.of(dead))
    fields = {"key": escape(dead.key), "headers": len(dead.headers)}
    for name, text in (_summary(dead) | fields).items():
        yield f"  {name:8} {text}"
    for name, value in dead.headers:
        yield f"    {name}: {escape(value)}"
    yield from _value_lines(dead.value)


def _value_lines(value: bytes | None) -> Iterator[str]:
    if value is None:
        yield "  value    null"
        return
    text = decoded(value)
    kind = "hex" if text is None else "JSON" if _is_json(text) else "text"
    yield f"  value    {len(value)} bytes, {kind}"
    if text is None:
        for begin in range(0, len(value), _HEX_BYTES):
            yield value[begin : begin + _HEX_BYTES].hex(" ")
    elif text:
        yield from text.split("\n")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
