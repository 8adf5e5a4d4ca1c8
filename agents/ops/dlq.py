"""Look at dead letters, and send them again: on the cluster of the shop.

    python -m agents dlq list [TOPIC] [--last N]
    python -m agents dlq show TOPIC-PARTITION@OFFSET [--raw]
    python -m agents dlq replay TOPIC-PARTITION@OFFSET … [--yes]

A replay is the letter's own bytes, key and headers, back in the topic that it came from;
the reply comes to the tool. It stays the same request, by its idempotency key or else by
the place where it lay first: what was carried out meanwhile, or by a replay before, counts
once. Where the state refuses, so is the replay; a cart repeats what it refused to a letter
without an idempotency key.

Exit code: 0 all is done; 1 something is not; 2 wrong usage; 130 interrupted.
"""

import argparse
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from aiokafka.structs import ConsumerRecord

from agents.ops.cli import (
    FAILED,
    OK,
    echo,
    echo_error,
    on,
    put,
    require_tty,
    run,
)
from agents.ops.dead_letters import (
    SOURCES,
    Summary,
    details,
    parse_location,
    summary,
    table,
)
from agents.ops.dlq_replay import DeadLetterReplay, ReplayStatus
from agents.ops.graves import newest, read_at
from agents.ops.options import add_caller, parser_of, positive
from topics.catalog import DEAD_LETTERS
from topics.kafka.location import RecordLocation
from topics.kafka.reader import TopicReader
from topics.kafka.request_reply import RequestReplyClient
from topics.kafka.settings import KafkaSettings
from topics.target import Target
from topics.terminal import ask

_FORM = "TOPIC-PARTITION@OFFSET"
_TOPICS = f"only of one: {', '.join(SOURCES)}"
_LAST = 100


def main(words: Sequence[str]) -> int:
    """Do what the command line says; return the exit code."""
    asked = _parser().parse_args(words)
    return run("dlq", partial(asked.do, asked))


def _list(asked: argparse.Namespace, target: Target) -> int:
    for line in table(on(target, partial(_newest, asked))):
        echo(line)
    return OK


def _show(asked: argparse.Namespace, target: Target) -> int:
    (letter,) = on(target, partial(_read, asked))
    if asked.raw:
        put(letter.value or b"")
        return OK
    for line in details(letter):
        echo(line)
    return OK


def _replay(asked: argparse.Namespace, target: Target) -> int:
    if not asked.yes:
        require_tty("replay: ")
    letters = on(target, partial(_read, asked))
    for line in table([summary(letter) for letter in letters]):
        echo(line)
    if not asked.yes and not ask("Send them again?"):
        echo_error("dlq: nothing was sent")
        return FAILED
    return on(target, partial(_send, asked, letters))


async def _newest(asked: argparse.Namespace, cluster: KafkaSettings) -> list[Summary]:
    names = SOURCES if asked.topic is None else [asked.topic]
    topics = [DEAD_LETTERS[SOURCES[name]] for name in names]
    async with TopicReader(cluster) as logs:
        return await newest(logs, topics, asked.last)


async def _read(asked: argparse.Namespace, cluster: KafkaSettings) -> list[ConsumerRecord]:
    async with TopicReader(cluster) as logs:
        return await read_at(logs, asked.place)


async def _send(
    asked: argparse.Namespace, letters: list[ConsumerRecord], cluster: KafkaSettings
) -> int:
    graves = {letter.topic for letter in letters}
    code = OK
    async with (
        TopicReader(cluster) as logs,
        RequestReplyClient(cluster, asked.replies, graves) as caller,
    ):
        replay = DeadLetterReplay(caller, logs, timedelta(seconds=asked.patience))
        for letter in letters:
            outcome = await replay.send(letter)
            echo(f"{RecordLocation.of(letter)}  {outcome}")
            if outcome.status is not ReplayStatus.DONE:
                code = FAILED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("dlq", __doc__)
    verbs = parser.add_subparsers(required=True, metavar="list|show|replay")
    _add_list(verbs.add_parser("list", help="the newest, a line each, the last one last"))
    _add_show(verbs.add_parser("show", help="all that there is to one"))
    _add_replay(verbs.add_parser("replay", help="send them again, and tell the outcome"))
    return parser


def _add_list(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(do=_list)
    add = parser.add_argument
    add("topic", nargs="?", choices=list(SOURCES), metavar="TOPIC", help=_TOPICS)
    add("--last", type=positive(int), default=_LAST, metavar="N", help=f"so many ({_LAST})")


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(do=_show)
    add = parser.add_argument
    add("place", nargs=1, type=parse_location, metavar=_FORM, help="as list shows it")
    add("--raw", action="store_true", help="only the value, byte for byte")


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(do=_replay)
    add = parser.add_argument
    add("place", nargs="+", type=parse_location, metavar=_FORM, help="as list shows it")
    add("--yes", action="store_true", help="ask nobody whether he is sure")
    add_caller(parser)
