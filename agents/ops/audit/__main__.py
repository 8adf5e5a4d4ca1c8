"""Audit a shop: `python -m agents.ops.audit`, the one of this directory, or of `KAFKA`.

Folds the request topics anew through the pure rules and compares with the changelogs, the
answers of the running shop, and the workers' local stores. It reads what is there and asks
questions; nothing else is written.

Exit code: 0 all is as the logs say; 1 it is not; 2 it can't be told.
"""

import argparse
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

import uvloop
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from agents.ops.audit.audit import Audit
from agents.ops.audit.options import Options
from agents.ops.audit.point_in_time import parse, state_at
from agents.ops.audit.report import Report
from topics.admin import TopicsError
from topics.files import raise_file_limit
from topics.kafka.answering import NoAnswerError, answered
from topics.kafka.connection import KafkaAuthenticationError
from topics.kafka.reader import ReadError, TopicReader
from topics.kafka.settings import KafkaSettings, format_settings_errors
from topics.kafka.target import NoClusterError, Target
from topics.telemetry import logging

_DEFAULT_QUERIES = (
    ReadError,
    NoAnswerError,
    NoClusterError,
    TopicsError,
    KafkaAuthenticationError,
    KafkaError,
    OSError,
    TimeoutError,
)


def main() -> int:
    """Do what the command line says."""
    logging.configure_tool()
    raise_file_limit()
    asked = _parser().parse_args()
    try:
        # On standard output, which is for people but for its last line.
        cluster = Target("audit", sys.stdout).cluster
        if asked.at:
            show = partial(_show, asked.at, asked.key)
            return uvloop.run(answered(cluster, show))
        report = uvloop.run(answered(cluster, partial(_audit, _options(asked))))
    except ValidationError as wrong:
        return _cannot(*format_settings_errors(wrong))
    except _DEFAULT_QUERIES as reason:
        return _cannot(str(reason))
    for line in report.lines(quiet=asked.quiet):
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"{report.json()}\n")
    return 0 if report.clean else 1


def _cannot(*reasons: str) -> int:
    sys.stderr.writelines(f"audit: {reason}\n" for reason in reasons)
    return 2


def _options(asked: argparse.Namespace) -> Options:
    return Options(
        questions=0 if asked.no_questions else asked.questions,
        seed=asked.seed,
        patience=timedelta(seconds=asked.patience),
        stores=asked.stores,
    )


async def _audit(options: Options, cluster: KafkaSettings) -> Report:
    async with TopicReader(cluster) as logs:
        return await Audit(logging, cluster, options).run()


async def _show(places: list[str], keys: list[str], cluster: KafkaSettings) -> int:
    async with TopicReader(cluster) as logs:
        for tp, offset in map(parse, places):
            for line in await state_at(logging, tp, offset, keys):
                sys.stdout.write(f"{line}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m agents.ops.audit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--questions", type=int, default=200, metavar="N", help="of each kind, at most")
    add("--no-questions", action="store_true", help="ask the running shop nothing")
    add("--seed", type=int, default=0, help="chooses whom the questions are about")
    add("--patience", type=float, default=20, metavar="SECONDS", help="for an answer")
    add("--stores", type=Path, metavar="DIR", help="holds the workers' state directories")
    add("--quiet", action="store_true", help="only totals, and what is wrong")
    place = "TOPIC-PARTITION=OFFSET"
    add("--at", action="append", metavar=place, help="only show what was so then")
    add("--key", action="append", default=[], help="of a row that --at is to show")
    return parser


if __name__ == "__main__":
    sys.exit(main())
