"""Bring a cluster's topics into line, tell where they differ, or who needs which rights.

    python -m topics create            make what is missing, set what is set otherwise
    python -m topics check             a line for each difference; exit code 1 if any
    python -m topics describe [--json] all that is declared; asks no cluster
    python -m topics acls [--nest] [CLIENT …]   the least that each user needs

What `acls` prints, a line each, is for `kafka-acls.sh`. The cluster is that of the
environment (`KAFKA`, …), as are `PARTITIONS` and `REQUEST_RETENTION_HOURS`.
"""

import argparse
import asyncio
import sys

from pydantic import ValidationError

from topics import logs
from topics.access import acls
from topics.admin import TopicsError, check, create
from topics.catalog import TOPICS
from topics.cluster import Cluster, bad_settings
from topics.connection import NotLetInError
from topics.describe import as_json
from topics.describe import lines as described


def main() -> int:
    """Do what the command line says; 1 when topics differ or can't be created."""
    logs.configure_tool()
    asked = _parser().parse_intermixed_args()
    command = asked.command
    try:
        lines = _lines(asked)
    except (TopicsError, NotLetInError) as reason:
        return _cannot(str(reason))
    except ValidationError as wrong:
        return _cannot(*bad_settings(wrong))
    for line in lines or [f"{len(TOPICS)} topics are as declared"]:
        print(line)  # noqa: T201
    return 1 if command == "check" and lines else 0


def _lines(asked: argparse.Namespace) -> list[str]:
    match asked.command:
        case "acls":
            return [str(acl) for acl in acls(asked.client, nest=asked.nest)]
        case "describe" if asked.json:
            return [as_json(TOPICS, Cluster().partitions)]
        case "describe":
            return described(TOPICS, Cluster().partitions)
        case "create":
            return asyncio.run(create(Cluster()))
        case _:
            return asyncio.run(check(Cluster()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m topics",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("command", choices=["create", "check", "describe", "acls"])
    add("client", nargs="*", help="users of your own, for acls")
    add("--nest", action="store_true", help="they use NestJS' client, of acls")
    add("--json", action="store_true", help="for programs, of describe")
    return parser


def _cannot(*reasons: str) -> int:
    for reason in reasons:
        print(f"topics: {reason}", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
