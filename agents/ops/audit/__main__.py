"""Audit a shop: `python -m agents.ops.audit`, the shop of this directory, or of `KAFKA`.

Replays the request topics through the pure rules. Compares the result with the changelogs,
with the replies of the running shop, and with the workers' local stores. Apart from its
queries, the audit writes nothing.

Exit codes: 0 the shop matches its logs; 1 differences or violations; 2 no audit possible.
"""

import argparse
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

import uvloop
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from agents.ops.audit.audit import audit, state_at
from agents.ops.audit.queries import QueryOptions
from agents.ops.audit.report import Report
from topics.admin import TopicsError
from topics.files import raise_file_limit
from topics.kafka.answering import NoAnswerError, answered
from topics.kafka.connection import KafkaAuthenticationError
from topics.kafka.location import RecordLocation
from topics.kafka.reader import ReadError, TopicReader
from topics.kafka.settings import KafkaSettings, format_settings_errors
from topics.target import NoClusterError, Target
from topics.telemetry.logging import configure_tool

_ERRORS = (
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
    """Run the audit of the command line; return its exit code."""
    configure_tool()
    raise_file_limit()
    args = _parser().parse_args()
    try:
        # On standard output, which is for people except for its last line.
        cluster = Target("audit", sys.stdout).cluster
        if args.at:
            return uvloop.run(answered(cluster, partial(_show, args.at, args.key)))
        report = uvloop.run(answered(cluster, partial(_audit, args)))
    except ValidationError as invalid:
        return _fail(*format_settings_errors(invalid))
    except _ERRORS as reason:
        return _fail(str(reason))
    for line in report.lines(quiet=args.quiet):
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"{report.json()}\n")
    return 0 if report.clean else 1


def _fail(*reasons: str) -> int:
    sys.stderr.writelines(f"audit: {reason}\n" for reason in reasons)
    return 2


async def _audit(args: argparse.Namespace, cluster: KafkaSettings) -> Report:
    options = QueryOptions(
        limit=0 if args.no_questions else args.questions,
        seed=args.seed,
        timeout=timedelta(seconds=args.patience),
    )
    async with TopicReader(cluster) as reader:
        return await audit(reader, cluster, options, args.stores)


async def _show(offsets: list[str], keys: list[str], cluster: KafkaSettings) -> int:
    async with TopicReader(cluster) as reader:
        for location in map(_location, offsets):
            for line in await state_at(reader, location, keys):
                sys.stdout.write(f"{line}\n")
    return 0


def _location(text: str) -> RecordLocation:
    try:
        return RecordLocation.parse(text.replace("=", "@"))
    except ValueError:
        raise ReadError(f"{text!r} is not TOPIC-PARTITION=OFFSET") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m agents.ops.audit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--questions", type=int, default=200, metavar="N", help="queries to each service")
    add("--no-questions", action="store_true", help="send no query to the running shop")
    add("--seed", type=int, default=0, help="chooses the rows that are queried")
    add("--patience", type=float, default=20, metavar="SECONDS", help="timeout of a reply")
    add("--stores", type=Path, metavar="DIR", help="has the workers' state directories")
    add("--quiet", action="store_true", help="print only totals and what is wrong")
    offset = "TOPIC-PARTITION=OFFSET"
    add("--at", action="append", metavar=offset, help="only print the table at this offset")
    add("--key", action="append", default=[], help="of a row that --at prints")
    return parser


if __name__ == "__main__":
    sys.exit(main())
