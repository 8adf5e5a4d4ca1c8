"""Change the number of partitions of the shop's topics.

    python -m agents.ops.repartition PARTITIONS [--yes]
    python -m agents.ops.repartition --abort [--yes]

All workers must be stopped; gateways and other clients should be, too. Every record keeps
its key, value, time and identity, the records of a key keep their order, and consumer
groups go on where they were. An interrupted run goes on when the command is called again.
Until topics are being replaced, `--abort` undoes it.

Exit code: 0 done; 1 not; 2 wrong usage; 130 interrupted.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from agents.ops.repartition.logs import Advance
from agents.ops.repartition.repartition import Repartition
from topics import cli
from topics.kafka.reader import TopicReader
from topics.kafka.settings import KafkaSettings
from topics.layout import layout_of
from topics.target import Target
from topics.topic import TopicKind
from topics.topology import GROUPS


@contextmanager
def _progress(step: str, records: int) -> Iterator[Advance]:
    """Show a bar at a terminal; elsewhere a line."""
    with click.progressbar(length=records, label=step, file=sys.stderr) as bar:
        yield bar.update


async def notes(reader: TopicReader) -> list[str]:
    """Return what an operator should know before a new repartition."""
    topics = [topic for topic in GROUPS if topic.kind is TopicKind.REQUESTS]
    if (await layout_of(reader)).plan is not None:
        return []
    ranges = await reader.offset_ranges(await reader.partitions(topics))
    if not any(part.begin for part in ranges.values()):
        return []
    text = "note: requests were deleted. Later audits go on from the checkpoint of the last"
    return [
        f"{text} --forget-before, or from one that is written now, with all workers stopped"
    ]


@click.command(help=cli.paragraphs(__doc__), context_settings=cli.HELP)
@click.argument("partitions", type=click.IntRange(min=1), required=False)
@click.option("--abort", is_flag=True, help="Undo an unfinished repartition.")
@click.option("--yes", is_flag=True, help="Begin without a confirmation.")
@cli.on_cluster("repartition")
def repartition(target: Target, *, partitions: int | None, abort: bool, yes: bool) -> int:
    """Change the number of partitions after a confirmation."""
    if (partitions is None) != abort:
        raise click.UsageError("give either PARTITIONS or --abort")
    what = (
        "Undo the repartition" if abort else f"Copy all topics to {partitions} partitions"
    )
    cluster = target.cluster
    if not yes:
        cli.require_terminal()
    if partitions:
        cli.echo_error(*cli.read(target, notes))
    if not (yes or cli.confirm(f"{what} at {cluster.kafka}?")):
        raise cli.CommandError("nothing was done")

    async def work(cluster: KafkaSettings) -> list[str]:
        async with Repartition(cluster, _progress) as work:
            return await (work.run(partitions) if partitions else work.abort())

    cli.echo(*cli.answer(target, work))
    return cli.OK


def main() -> None:
    """Run the command of the command line."""
    cli.raise_file_limit()
    repartition.main(prog_name="python -m agents.ops.repartition")


if __name__ == "__main__":
    main()
