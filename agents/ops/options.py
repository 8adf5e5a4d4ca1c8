"""Options that tools have in common."""

import argparse
from collections.abc import Callable
from typing import TypeVar

from agents.runtime.deserializer import REPLY_TOPIC
from topics.kafka.request_reply import REPLIES

_PATIENCE_SECONDS = 20.0
_MOST = 1_000_000_000

N = TypeVar("N", int, float)


def parser_of(tool: str, doc: str | None) -> argparse.ArgumentParser:
    """Return the parser of a tool, whose help is what its module says of it."""
    return argparse.ArgumentParser(
        prog=f"python -m agents {tool}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_caller(parser: argparse.ArgumentParser) -> None:
    """Add what a conversation with the shop needs."""
    add = parser.add_argument
    own = f"where replies come in ({REPLIES}); made if it is not there"
    add("--replies", type=_reply_topic, default=REPLIES, metavar="TOPIC", help=own)
    add(
        "--patience",
        type=positive(float),
        default=_PATIENCE_SECONDS,
        metavar="SECONDS",
        help=f"for each outcome ({_PATIENCE_SECONDS:g})",
    )


def positive(number: Callable[[str], N]) -> Callable[[str], N]:
    """Return what reads a number above zero."""

    def read(text: str) -> N:
        try:
            value = number(text)
        except ValueError:
            value = number("0")
        if not 0 < value <= _MOST:
            wanted = f"a number above zero, up to {_MOST}"
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
        return value

    return read


def _reply_topic(text: str) -> str:
    if REPLY_TOPIC.fullmatch(text) is None:
        wanted = "the name of a topic for replies, which ends in .replies or .reply"
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return text
