"""Audit a shop: `python -m agents.ops.audit`, the shop of this directory, or of `KAFKA`.

Replays the request topics through the pure rules. Compares the result with the changelogs,
with the replies of the running shop, and with the workers' local stores. Apart from its
queries, the audit writes nothing.

`--checkpoint DIR` keeps the audited tables as files, and `--from DIR` begins there: the
logs are read from its offsets on only. `--forget-before DIR` lets Kafka delete the requests
below these offsets.

Exit codes: 0 the shop matches its logs; 1 differences or violations; 2 no audit possible.
"""

import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click

from agents.ops.audit.audit import Options, audit_shop
from agents.ops.audit.checkpoint import Checkpoint
from agents.ops.audit.checkpoint_files import load, newest, save
from agents.ops.audit.deletion import delete_before
from agents.ops.audit.moved import continued
from agents.ops.audit.queries import QueryOptions
from agents.ops.audit.states import print_states
from topics import cli
from topics.cli import raise_file_limit
from topics.kafka.location import RecordLocation
from topics.target import Target

_OFFSET = "TOPIC-PARTITION=OFFSET"


_directory = partial(click.option, type=click.Path(path_type=Path), metavar="DIR")


@click.command(help=cli.paragraphs(__doc__), context_settings=cli.HELP)
@click.option("--questions", help="queries to each service", default=200, metavar="N")
@click.option("--no-questions", help="send no query to the running shop", is_flag=True)
@click.option("--seed", help="chooses the rows that are queried", default=0)
@click.option("--patience", help="timeout of a reply", default=20.0, metavar="SECONDS")
@_directory("--stores", help="has the workers' state directories")
@_directory("--checkpoint", help="keep what was audited, if all matches, for --from")
@_directory("--from", "start", help="begin at a checkpoint, or the newest one in DIR")
@_directory(
    "--forget-before", "forget", help="audit --from DIR, then delete older requests"
)
@click.option("--yes", help="delete without a confirmation", is_flag=True)
@click.option("--quiet", help="print only totals, differences and violations", is_flag=True)
@click.option(
    "--at",
    help="only print the table at this offset",
    type=cli.parsed(lambda text: RecordLocation.parse(text.replace("=", "@")), _OFFSET),
    multiple=True,
    metavar=_OFFSET,
)
@click.option("--key", help="of a row that --at prints", multiple=True)
# Standard output is for people, except for its last line.
@cli.on_cluster("audit", out=sys.stdout, failed=cli.MISUSED)
def audit(
    target: Target,
    *,
    at: list[RecordLocation],
    key: list[str],
    quiet: bool,
    **given: Any,  # noqa: ANN401 -- click's
) -> int:
    """Print the report, or rows at an offset; return the exit code."""
    directory, forget = given["checkpoint"], given["forget"]
    if forget and (directory or given["start"] or at):
        raise click.UsageError("--forget-before goes without --checkpoint, --from and --at")
    if forget and not given["yes"]:
        cli.require_terminal()
    source = given["start"] or forget
    start = Checkpoint()
    if source:
        start = cli.answer(target, partial(continued, load(newest(source))))
    if at:
        cli.read(target, partial(print_states, at, key, start.tables))
        return cli.OK
    if directory:
        directory.mkdir(parents=True, exist_ok=True)
    limit = 0 if given["no_questions"] else given["questions"]
    queries = QueryOptions(limit, given["seed"], timedelta(seconds=given["patience"]))
    options = Options(queries, given["stores"], start, captures=bool(directory))
    report = cli.answer(target, partial(audit_shop, options))
    if report.is_clean and report.checkpoint:
        cli.echo(f"checkpoint: {save(directory, report.checkpoint, datetime.now(UTC))}")
    if report.is_clean and forget:
        cli.echo(*delete_before(target, start, yes=given["yes"]))
    click.echo("\n".join(report.lines(quiet=quiet)))
    return cli.OK if report.is_clean else cli.FAILED


def main() -> None:
    """Run the audit of the command line."""
    raise_file_limit()
    audit.main(prog_name="python -m agents.ops.audit")


if __name__ == "__main__":
    main()
