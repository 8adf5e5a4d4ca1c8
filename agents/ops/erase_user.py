"""Forget a user, on the cluster of the shop.

    python -m agents forget USER [--cancel] [--yes]

The cart is erased with all that it remembers, and each order becomes nobody's: for the
books it keeps what was bought, and answers nobody any more. Orders that are not over stand
in the way, unless they may be cancelled. What remains is told, and until when: Kafka
deletes no single record of a log. Run it again after an interruption: that does no harm.

Exit code: 0 the user is forgotten; 1 not; 2 wrong usage; 130 interrupted.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from pydantic import TypeAdapter, ValidationError

from agents.loms.order import OPEN
from agents.ops.cli import (
    FAILED,
    OK,
    CommandError,
    echo,
    echo_error,
    on,
    require_tty,
    run,
)
from agents.ops.erasure import Erasure
from agents.ops.options import add_caller, parser_of
from agents.ops.retention import Settings, retained_data
from agents.ops.user_data import UserData, orders, user_data
from schemas.contract import UserId
from topics.admin import settings_of
from topics.catalog import TOPICS
from topics.kafka.reader import TopicReader
from topics.kafka.request_reply import RequestReplyClient
from topics.kafka.settings import KafkaSettings
from topics.target import Target
from topics.terminal import ask

_ELSEWHERE = """\
What was asked stays as long as REQUEST_RETENTION_HOURS says (python -m topics create).
Elsewhere: mails and webhooks that were sent, logs and traces, the list of NOTIFY_OPT_OUT,
topics of clients' own, and the bare number in files of workers until they are built anew.
A partition that nobody writes to any more is not compacted."""


def main(words: Sequence[str]) -> int:
    """Do what the command line says; return the exit code."""
    asked = _parser().parse_args(words)
    return run("forget", partial(_forget, asked))


def _forget(asked: argparse.Namespace, target: Target) -> int:
    if not asked.yes:
        require_tty()
    there = on(target, partial(_look, asked))
    echo(f"user {asked.user}: {there}")
    waiting = [order for order in there.orders if order.status in OPEN]
    if waiting and not asked.cancel:
        for order in waiting:
            echo_error(f"forget: order {order.order_id} is {order.status}")
        echo_error("forget: they are not over; --cancel cancels them. Nothing was done")
        return FAILED
    if not asked.yes and not ask(f"Forget user {asked.user}? It can't be undone."):
        echo_error("forget: nothing was done")
        return FAILED
    return on(target, partial(_run, asked))


async def _look(asked: argparse.Namespace, cluster: KafkaSettings) -> UserData:
    async with TopicReader(cluster) as logs:
        return await user_data(logs, asked.user)


async def _run(asked: argparse.Namespace, cluster: KafkaSettings) -> int:
    settings = await settings_of(cluster, TOPICS)
    if missing := {topic.name for topic in TOPICS} - settings.keys():
        names = ", ".join(sorted(missing))
        raise CommandError(f"there are no topics {names}, or no right to see them")
    patience = timedelta(seconds=asked.patience)
    async with (
        TopicReader(cluster) as logs,
        RequestReplyClient(cluster, asked.replies) as caller,
    ):
        forgetting = Erasure(caller, logs, asked.user, patience, cancel=asked.cancel)
        if not await forgetting.run():
            for line in forgetting.left:
                echo_error(f"forget: {line}")
            echo_error("forget: not all is forgotten; run it again")
            return FAILED
    echo(f"forgotten: the cart, {orders(len(forgetting.orders))}")
    echo("What remains in Kafka, and until when at the latest:")
    for line in _remains(settings):
        echo(line)
    return OK


def _remains(settings: Mapping[str, Settings]) -> Iterator[str]:
    for topic, what, until in retained_data(settings, datetime.now(UTC)):
        end = "stays" if until is None else f"{until:%Y-%m-%d %H:%M} UTC"
        yield f"  {topic:<28}  {what:<36}  {end}"
    yield from _ELSEWHERE.splitlines()


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("forget", __doc__)
    parser.add_argument("user", type=_user, metavar="USER", help="a number")
    cancel = "cancel orders that are not over"
    parser.add_argument("--cancel", action="store_true", help=cancel)
    yes = "ask nobody whether he is sure"
    parser.add_argument("--yes", action="store_true", help=yes)
    add_caller(parser)
    return parser


def _user(text: str) -> int:
    try:
        return TypeAdapter[int](UserId).validate_json(text)
    except ValidationError:
        raise argparse.ArgumentTypeError(f"{text!r} is no user: an int64") from None
