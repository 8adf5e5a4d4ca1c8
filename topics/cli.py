"""Command lines of tools: help, output, confirmation, errors and exit codes."""

import asyncio
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from functools import partial, wraps
from typing import Any, NoReturn, TextIO, TypeVar

import click
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from topics.kafka.connection import KafkaAuthenticationError
from topics.kafka.liveness import NotRespondingError, reach, run_supervised
from topics.kafka.reader import ReadError, TopicReader
from topics.kafka.settings import KafkaSettings, format_settings_errors
from topics.kafka.topic_admin import TopicsError
from topics.target import NoClusterError, Target
from topics.telemetry import logging

T = TypeVar("T")

OK, FAILED, MISUSED = 0, 1, 2
INTERRUPTED = 130
"""As in shells: 128 and the number of SIGINT."""

HELP = {"help_option_names": ["-h", "--help"], "show_default": True}


class CommandError(Exception):
    """A command can't be carried out; each argument is a line of the reason."""


_WITH_REASON = (
    *(CommandError, NoClusterError, TopicsError, ReadError),
    *(NotRespondingError, KafkaAuthenticationError),
)


def paragraphs(doc: str | None) -> str:
    """Return the docstring of a module as a help text that keeps its line breaks."""
    return f"\b\n{doc}".replace("\n\n", "\n\n\b\n")


def parsed(parse: Callable[[str], T], expected: str) -> Callable[[str], T]:
    """Return a type of a parameter: a ValueError becomes `… is not EXPECTED`."""

    def convert(text: str) -> T:
        try:
            return parse(text)
        except ValueError:
            raise click.BadParameter(f"{text!r} is not {expected}") from None

    return convert


def on_cluster(
    tool: str, *, out: TextIO | None = None, failed: int = FAILED, misused: int = MISUSED
) -> Callable[[Callable[..., int]], Callable[..., NoReturn]]:
    """Decorate a command that takes its target cluster and returns its exit code.

    Args:
        tool: the prefix of the line about the cluster, and of error lines.
        out: where the line about the cluster is printed; standard error by default.
        failed: the exit code of errors.
        misused: the exit code of wrong settings.
    """

    def decorate(work: Callable[..., int]) -> Callable[..., NoReturn]:
        @wraps(work)
        def command(**options: object) -> NoReturn:
            sys.exit(run(Target(tool, out), partial(work, **options), failed, misused))

        return command

    return decorate


def run(
    target: Target,
    work: Callable[[Target], int],
    failed: int = FAILED,
    misused: int = MISUSED,
) -> int:
    """Run a command on a cluster, print the reason of an error, return the exit code."""
    logging.configure_tool()
    try:
        return work(target)
    except ValidationError as error:
        code, reasons = misused, format_settings_errors(error)
    except click.UsageError as error:
        code, reasons = misused, [error.message]
    except _WITH_REASON as error:
        code, reasons = failed, [*error.args]
    except (KafkaError, OSError, asyncio.CancelledError) as error:
        code, reasons = failed, [_reason(target, error)]
    except KeyboardInterrupt:
        code, reasons = INTERRUPTED, ["interrupted"]
    echo_error(*(f"{target.tool}: {reason}" for reason in reasons))
    return code


def answer(target: Target, work: Callable[[KafkaSettings], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on the cluster while its brokers answer; return its result."""
    return asyncio.run(run_supervised(target.cluster, work))


def read(target: Target, work: Callable[[TopicReader], Awaitable[T]]) -> T:
    """Run a coroutine that reads topics of the cluster; return its result."""

    async def with_reader(cluster: KafkaSettings) -> T:
        async with TopicReader(cluster) as reader:
            return await work(reader)

    return answer(target, with_reader)


def echo(*lines: str | bytes) -> None:
    """Print lines to standard output; bytes are printed as they are, without a newline."""
    try:
        for line in lines:
            if isinstance(line, bytes):
                click.echo(line, nl=False)
            else:
                click.echo(escape_control_chars(line))
    except BrokenPipeError:
        # `| head` closes the pipe; the command still finishes its work.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def step(name: str) -> Iterator[None]:
    """Print the name of a step at its begin, and its duration at its end."""
    began = time.monotonic()
    echo(f"  {name} … ".encode())
    try:
        yield
    except BaseException:
        echo("failed")
        raise
    echo(f"{time.monotonic() - began:.1f} s")


def echo_error(*lines: str) -> None:
    """Print lines to standard error."""
    for line in lines:
        click.echo(escape_control_chars(line), err=True)


def table(rows: Iterable[Sequence[str]], alignments: str) -> Iterator[str]:
    """Yield rows as lines with aligned columns; `<` or `>` for each column."""
    cells = list(rows)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        columns = zip(row, alignments, widths, strict=True)
        yield "  ".join(f"{cell:{align}{width}}" for cell, align, width in columns).rstrip()


def is_attended() -> bool:
    """Return whether a person can confirm: standard input is a terminal."""
    return bool(sys.stdin and sys.stdin.isatty())


def require_terminal() -> None:
    """Raise a UsageError unless standard input is a terminal."""
    if not is_attended():
        raise click.UsageError("no terminal to confirm at; --yes confirms")


def confirm(question: str) -> bool:
    """Return the person's answer at the terminal; an end of input is a no."""
    try:
        # click prints the last character of its prompt to standard output.
        with redirect_stdout(sys.stderr):
            return click.confirm(question, prompt_suffix=" ", err=True)
    except click.Abort as abort:
        if isinstance(abort.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        return False


def raise_file_limit() -> None:
    """Raise the soft limit of open files to the hard limit, as Java does at its start.

    The usual soft limit of 1024 is for programs that use `select`; ours do not.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # macOS refuses a limit above its own
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def escape_control_chars(text: str) -> str:
    """Return text for a terminal: characters of records must not move the cursor."""
    return "".join(
        c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode()
        for c in text
    )


def _reason(target: Target, error: BaseException) -> str:
    """Return why Kafka failed; errors of its clients have no details."""
    if isinstance(error, OSError) and error.filename:
        return str(error)
    cluster = target.cluster
    if isinstance(error, asyncio.CancelledError):
        # aiokafka cancels its caller when a broker stays silent on disconnect.
        return f"Kafka at {cluster.kafka} does not answer any more"
    try:
        asyncio.run(reach(cluster))
    except (NotRespondingError, KafkaAuthenticationError) as reason:
        return str(reason)
    return f"Kafka at {cluster.kafka}: {str(error) or repr(error)}"
