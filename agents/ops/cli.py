"""How a tool ends: with an exit code, and with one line in place of a traceback."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from aiokafka.errors import KafkaError
from pydantic import ValidationError

from topics.admin import TopicsError
from topics.kafka.answering import NoAnswerError, answered, reach
from topics.kafka.connection import KafkaAuthenticationError
from topics.kafka.reader import ReadError
from topics.kafka.settings import KafkaSettings, format_settings_errors
from topics.target import NoClusterError, Target
from topics.telemetry import logging
from topics.terminal import is_attended

T = TypeVar("T")

OK, FAILED, MISUSED = 0, 1, 2
INTERRUPTED = 130
"""As shells have it: 128 and the number of SIGINT."""


class CommandError(Exception):
    """What was asked can't be done; the message says why, in one line."""


class UsageError(Exception):
    """What was asked makes no sense; the message says why, in one line."""


REASONS = (
    CommandError,
    ReadError,
    NoAnswerError,
    NoClusterError,
    KafkaAuthenticationError,
    TopicsError,
)
"""Errors whose message is all that there is to print."""


def run(tool: str, work: Callable[[Target], int]) -> int:
    """Do a tool's work; return the exit code.

    Args:
        tool: its name, for its first line and for complaints.
        work: gets the cluster to work on, and returns an exit code.
    """
    logging.configure_tool()
    target = Target(tool)
    try:
        return work(target)
    except ValidationError as wrong:
        return _ends(tool, MISUSED, *format_settings_errors(wrong))
    except UsageError as reason:
        return _ends(tool, MISUSED, str(reason))
    except REASONS as reason:
        return _ends(tool, FAILED, str(reason))
    except (KafkaError, OSError, asyncio.CancelledError) as error:
        return _ends(tool, FAILED, _away(target.cluster, error))
    except KeyboardInterrupt:
        return _ends(tool, INTERRUPTED, "interrupted")


def on(target: Target, work: Callable[[KafkaSettings], Coroutine[Any, Any, T]]) -> T:
    """Do work on the cluster while its brokers answer; return the result of the work."""
    return asyncio.run(answered(target.cluster, work))


def echo(line: str = "") -> None:
    """Say a line on standard output."""
    put(f"{escape_control_chars(line)}\n".encode())


def put(raw: bytes) -> None:
    """Put bytes on standard output, as they are."""
    try:
        sys.stdout.buffer.write(raw)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Whoever looks at the first lines only (`| head`) wants no complaint in the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def echo_error(line: str) -> None:
    """Say a line on standard error."""
    sys.stderr.write(f"{escape_control_chars(line)}\n")


def require_tty(verb: str = "") -> None:
    """See to it that there is somebody to be asked.

    Args:
        verb: what begins the complaint.

    Raises:
        MisusedError: nobody sits at a terminal.
    """
    if not is_attended():
        raise UsageError(f"{verb}nobody can be asked here whether he is sure: --yes")


def escape_control_chars(text: str) -> str:
    """Return text for a terminal: what others wrote must not move its cursor."""
    if text.isprintable():
        return text
    return "".join([c if c.isprintable() or c == "\t" else _escaped(c) for c in text])


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _ends(tool: str, code: int, *reasons: str) -> int:
    for reason in reasons:
        echo_error(f"{tool}: {reason}")
    return code


def _away(cluster: KafkaSettings, error: BaseException) -> str:
    """Say why Kafka can't be asked; its clients say no more than that it can't."""
    if isinstance(error, asyncio.CancelledError):
        # So aiokafka ends that is to disconnect from a broker which says nothing any more.
        return f"Kafka at {cluster.kafka} does not answer any more"
    try:
        asyncio.run(reach(cluster))
    except (NoAnswerError, KafkaAuthenticationError) as reason:
        return str(reason)
    return f"Kafka at {cluster.kafka}: {str(error) or repr(error)}"
