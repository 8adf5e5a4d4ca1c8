"""Show dead letters, and replay them, on the cluster of the shop.

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

from functools import partial

import click
from aiokafka.structs import ConsumerRecord

from agents.ops.dead_letters import (
    LOCATION,
    SOURCES,
    Summary,
    details,
    newest,
    parse_location,
    read_at,
    summary,
    table,
)
from agents.ops.dlq_replay import DeadLetterReplay, ReplayStatus
from agents.ops.requests import RequestOptions, request_options
from topics.catalog import DEAD_LETTERS
from topics.cli import (
    FAILED,
    OK,
    answer,
    confirm,
    echo,
    echo_error,
    on_cluster,
    paragraphs,
    require_terminal,
)
from topics.kafka.location import RecordLocation
from topics.kafka.reader import TopicReader
from topics.kafka.request_reply import RequestReplyClient
from topics.kafka.settings import KafkaSettings
from topics.target import Target

_MAX_LAST = 1_000_000_000


@click.group(help=paragraphs(__doc__))
def dlq() -> None:
    """Show dead letters, and replay them."""


@dlq.command("list", help="Print the newest dead letters, one a line, the newest last.")
@click.argument("topic", type=click.Choice([*SOURCES]), required=False)
@click.option(
    "--last",
    type=click.IntRange(1, _MAX_LAST),
    default=100,
    show_default=True,
    metavar="N",
    help="Number of dead letters.",
)
@on_cluster("dlq")
def _list(target: Target, *, topic: str | None, last: int) -> int:
    names = [topic] if topic else [*SOURCES]
    for line in table(answer(target, partial(_newest, names, last))):
        echo(line)
    return OK


@dlq.command("show", help="Print all of a dead letter.")
@click.argument("location", type=parse_location, metavar=LOCATION)
@click.option("--raw", is_flag=True, help="Print only the value, byte for byte.")
@on_cluster("dlq")
def _show(target: Target, *, location: RecordLocation, raw: bool) -> int:
    (dead,) = answer(target, partial(_read, [location]))
    if raw:
        echo(dead.value or b"", newline=False)
        return OK
    for line in details(dead):
        echo(line)
    return OK


@dlq.command("replay", help="Send dead letters again, and print each outcome.")
@click.argument(
    "locations", type=parse_location, metavar=f"{LOCATION}...", nargs=-1, required=True
)
@click.option("--yes", is_flag=True, help="Send without a confirmation.")
@request_options
@on_cluster("dlq")
def _replay(
    target: Target, *, locations: list[RecordLocation], yes: bool, requests: RequestOptions
) -> int:
    if not yes:
        require_terminal()
    letters = answer(target, partial(_read, locations))
    for line in table([summary(dead) for dead in letters]):
        echo(line)
    if not yes and not confirm("Send them again?"):
        echo_error("dlq: nothing was sent")
        return FAILED
    return answer(target, partial(_send, letters, requests))


async def _newest(names: list[str], last: int, cluster: KafkaSettings) -> list[Summary]:
    topics = [DEAD_LETTERS[SOURCES[name]] for name in names]
    async with TopicReader(cluster) as reader:
        return await newest(reader, topics, last)


async def _read(
    locations: list[RecordLocation], cluster: KafkaSettings
) -> list[ConsumerRecord]:
    async with TopicReader(cluster) as reader:
        return await read_at(reader, locations)


async def _send(
    letters: list[ConsumerRecord], requests: RequestOptions, cluster: KafkaSettings
) -> int:
    topics = {dead.topic for dead in letters}
    code = OK
    async with (
        TopicReader(cluster) as reader,
        RequestReplyClient(cluster, requests.replies, topics) as client,
    ):
        replay = DeadLetterReplay(client, reader, requests.timeout)
        for dead in letters:
            result = await replay.send(dead)
            echo(f"{RecordLocation.of(dead)}  {result}")
            if result.status is not ReplayStatus.DONE:
                code = FAILED
    return code
