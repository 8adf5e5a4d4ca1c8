"""Bring a cluster's topics into line, tell where they differ, or who needs which rights.

    python -m topics create [--yes]    make what is missing, set what is set otherwise
    python -m topics check             a line for each difference; exit code 1 if any
    python -m topics describe [--json] all that is declared; asks no cluster
    python -m topics acls [--nest] [CLIENT …]   the least that each user needs

What `acls` prints, a line each, is for `kafka-acls.sh`. The cluster is that of the shop
that runs in this directory, else that of `KAFKA`; so are the partitions.
`REQUEST_RETENTION_HOURS` comes from the environment. At a terminal `create` asks before it
writes; without one it makes what is missing, and changes settings with `--yes` alone.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from pydantic import ValidationError

from topics.acls import acls
from topics.admin import Plan, TopicsError, check, create, plan
from topics.catalog import TOPICS
from topics.describe import as_json
from topics.describe import lines as described
from topics.kafka.answering import NoAnswerError, answered
from topics.kafka.connection import KafkaAuthenticationError
from topics.kafka.settings import KafkaSettings, format_settings_errors
from topics.target import NoClusterError, Target, partitions
from topics.telemetry import logging
from topics.terminal import ask, is_attended

_MISUSED, _INTERRUPTED = 2, 130
_REASONS = (NoAnswerError, NoClusterError, KafkaAuthenticationError, TopicsError)

T = TypeVar("T")


def main() -> int:
    """Do what the command line says; 1 when topics differ or can't be created."""
    logging.configure_tool()
    asked = _parser().parse_intermixed_args()
    try:
        return _DO[asked.command](asked)
    except _REASONS as reason:
        return _cannot(str(reason))
    except ValidationError as wrong:
        return _cannot(*format_settings_errors(wrong))
    except KeyboardInterrupt:
        _cannot("interrupted")
        return _INTERRUPTED


def _acls(asked: argparse.Namespace) -> int:
    return _print(map(str, acls(asked.client, nest=asked.nest)))


def _describe(asked: argparse.Namespace) -> int:
    retention = KafkaSettings().request_retention
    if asked.json:
        return _print([as_json(TOPICS, partitions(), retention)])
    return _print(described(TOPICS, partitions(), retention))


def _check(_: argparse.Namespace) -> int:
    lines = _on(Target("topics"), check)
    _print(lines or [_AS_DECLARED])
    return 1 if lines else 0


def _create(asked: argparse.Namespace) -> int:
    target = Target("topics")
    todo = _on(target, plan)
    if (todo.missing or todo.changed) and not asked.yes:
        code = _agreement(todo, target.cluster)
        if code:
            return code
    return _print(_on(target, create) or [_AS_DECLARED])


def _agreement(todo: Plan, cluster: KafkaSettings) -> int:
    """Return 0 if the plan may be carried out, else the exit code."""
    if not is_attended():
        if todo.changed:
            _cannot(*todo.changed, "no terminal to ask at: --yes changes the settings")
            return _MISUSED
        return 0
    for line in (*todo.missing, *todo.changed):
        sys.stderr.write(f"{line}\n")
    if ask(f"Make it so, in Kafka at {cluster.kafka}?"):
        return 0
    return _cannot("nothing was done")


def _on(target: Target, work: Callable[[KafkaSettings], Coroutine[Any, Any, T]]) -> T:
    return asyncio.run(answered(target.cluster, work))


def _print(lines: Iterable[str]) -> int:
    for line in lines:
        print(line)  # noqa: T201
    return 0


_AS_DECLARED = f"{len(TOPICS)} topics are as declared"
_DO = {"create": _create, "check": _check, "describe": _describe, "acls": _acls}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m topics",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("command", choices=[*_DO])
    add("client", nargs="*", help="users of your own, for acls")
    add("--nest", action="store_true", help="they use NestJS' client, of acls")
    add("--json", action="store_true", help="for programs, of describe")
    add("--yes", action="store_true", help="do not ask before create writes")
    return parser


def _cannot(*reasons: str) -> int:
    for reason in reasons:
        print(f"topics: {reason}", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
