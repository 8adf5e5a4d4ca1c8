"""Bring a cluster's topics into line, tell where they differ, or who needs which rights.

    python -m topics create
    python -m topics check
    python -m topics acls [CLIENT …]

What `acls` prints, a line each, is for `kafka-acls.sh`. The cluster is that of the
environment (`KAFKA`, …), as are `PARTITIONS` and `REQUEST_RETENTION_HOURS`.
"""

import argparse
import asyncio
import sys

from pydantic import ValidationError

from topics.access import acls
from topics.admin import TopicsError, check, create
from topics.catalog import TOPICS
from topics.cluster import Cluster, bad_settings
from topics.connection import NotLetInError


def main() -> int:
    """Do what the command line says; 1 when topics differ or can't be created."""
    parser = argparse.ArgumentParser(prog="python -m topics")
    parser.add_argument("command", choices=["create", "check", "acls"])
    parser.add_argument("client", nargs="*", help="users of your own, for acls")
    asked = parser.parse_args()
    command = asked.command
    try:
        if command == "acls":
            lines = [str(acl) for acl in acls(asked.client)]
        elif command == "create":
            lines = asyncio.run(create(Cluster()))
        else:
            lines = asyncio.run(check(Cluster()))
    except (TopicsError, NotLetInError) as reason:
        return _cannot(str(reason))
    except ValidationError as wrong:
        return _cannot(*bad_settings(wrong))
    for line in lines or [f"{len(TOPICS)} topics are as declared"]:
        print(line)  # noqa: T201
    return 1 if command == "check" and lines else 0


def _cannot(*reasons: str) -> int:
    for reason in reasons:
        print(f"topics: {reason}", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
