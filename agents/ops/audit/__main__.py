"""Audit a shop: `python -m agents.ops.audit`, the shop of this directory, or of `KAFKA`.

Replays the request topics through the pure rules. Compares the result with the changelogs,
with the replies of the running shop, and with the workers' local stores. Apart from its
queries, the audit writes nothing.

Exit codes: 0 the shop matches its logs; 1 differences or violations; 2 no audit possible.
"""

import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click
import uvloop

from agents.ops.audit.audit import audit as audit_shop
from agents.ops.audit.audit import state_at
from agents.ops.audit.queries import QueryOptions
from agents.ops.audit.report import Report
from topics.cli import FAILED, HELP, MISUSED, OK, on_cluster, paragraphs
from topics.files import raise_file_limit
from topics.kafka.answering import answered
from topics.kafka.location import RecordLocation
from topics.kafka.reader import TopicReader
from topics.kafka.settings import KafkaSettings
from topics.target import Target

_OFFSET = "TOPIC-PARTITION=OFFSET"


def _location(text: str) -> RecordLocation:
    try:
        return RecordLocation.parse(text.replace("=", "@"))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not {_OFFSET}") from None


@click.command(help=paragraphs(__doc__), context_settings=HELP)
@click.option("--questions", help="queries to each service", default=200, metavar="N")
@click.option("--no-questions", help="send no query to the running shop", is_flag=True)
@click.option("--seed", help="chooses the rows that are queried", default=0)
@click.option("--patience", help="timeout of a reply", default=20.0, metavar="SECONDS")
@click.option(
    "--stores", help="has the workers' state directories", type=Path, metavar="DIR"
)
@click.option("--quiet", help="print only totals, differences and violations", is_flag=True)
@click.option(
    "--at",
    help="only print the table at this offset",
    type=_location,
    multiple=True,
    metavar=_OFFSET,
)
@click.option("--key", help="of a row that --at prints", multiple=True)
# Standard output is for people, except for its last line.
@on_cluster("audit", out=sys.stdout, failed=MISUSED)
def audit(
    target: Target,
    *,
    at: list[RecordLocation],
    key: list[str],
    stores: Path | None,
    quiet: bool,
    **queries: Any,  # noqa: ANN401 -- click's
) -> int:
    """Print the report, or rows at an offset; return the exit code."""
    if at:
        return uvloop.run(answered(target.cluster, partial(_show, at, key)))
    options = QueryOptions(
        limit=0 if queries["no_questions"] else queries["questions"],
        seed=queries["seed"],
        timeout=timedelta(seconds=queries["patience"]),
    )
    report = uvloop.run(answered(target.cluster, partial(_audit, options, stores)))
    for line in report.lines(quiet=quiet):
        click.echo(line)
    click.echo(report.json())
    return OK if report.clean else FAILED


async def _audit(
    options: QueryOptions, stores: Path | None, cluster: KafkaSettings
) -> Report:
    async with TopicReader(cluster) as reader:
        return await audit_shop(reader, cluster, options, stores)


async def _show(
    locations: list[RecordLocation], keys: list[str], cluster: KafkaSettings
) -> int:
    async with TopicReader(cluster) as reader:
        for location in locations:
            for line in await state_at(reader, location, keys):
                click.echo(line)
    return OK


def main() -> None:
    """Run the audit of the command line."""
    raise_file_limit()
    audit.main(prog_name="python -m agents.ops.audit")


if __name__ == "__main__":
    main()
