"""Create and check a cluster's topics; print their declarations; print or grant their ACLs.

    python -m topics create [--yes]    create missing topics, correct other settings
    python -m topics check             a line for each difference; exit code 1 if any
    python -m topics describe [--json] all declarations; needs no cluster
    python -m topics acls [--nest] [CLIENT …]   the least rights of each user

Each line of `acls` is for `kafka-acls.sh`; `--grant` grants them instead. The cluster is
that of the shop that runs in this directory, else that of `KAFKA`. The partitions come from
the same place. `REQUEST_RETENTION_HOURS` comes from the environment. At a terminal `create`
prompts for a confirmation. Without one it creates missing topics; it changes settings only
with `--yes`.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import partial
from itertools import zip_longest
from textwrap import wrap

import click

from topics import cli
from topics.admin import check, create, plan
from topics.catalog import TOPICS
from topics.grants import grant
from topics.kafka.settings import KafkaSettings
from topics.layout import require_finished
from topics.target import Target, partitions
from topics.topic import Topic, TopicKind, format_retention, wire_type
from topics.topology import acls

_AS_DECLARED = f"{len(TOPICS)} topics are as declared"

_HEADS = ("TOPIC", "KEY", "PARTITIONS", "KEPT", "CARRIES", "WHAT IT IS FOR")
_CARRIES_WIDTH, _DOC_WIDTH = 30, 40

# Their keys follow from the keys of other topics.
_KEYS = {TopicKind.DEAD_LETTERS: "as the source", TopicKind.CHANGELOG: "row"}

_on_cluster = cli.on_cluster("topics", misused=cli.FAILED)


@click.group(help=cli.paragraphs(__doc__), context_settings=cli.HELP)
def main() -> None:
    """Run the command of the command line."""


@main.command("create", help="Create missing topics, correct other settings.")
@click.option("--yes", is_flag=True, help="Write without a confirmation.")
@_on_cluster
def _create(target: Target, *, yes: bool) -> int:
    cli.answer(target, require_finished)
    missing, changed = cli.answer(target, plan)
    if not yes and cli.is_attended():
        cli.echo_error(*missing, *changed)
        question = f"Apply this to Kafka at {target.cluster.kafka}?"
        if (missing or changed) and not cli.confirm(question):
            raise cli.CommandError("nothing was changed")
    elif not yes and changed:
        reason = "no terminal to confirm at; --yes changes the settings"
        cli.echo_error(*(f"topics: {line}" for line in (*changed, reason)))
        return cli.MISUSED
    cli.echo(*(cli.answer(target, create) or [_AS_DECLARED]))
    return cli.OK


@main.command("check", help="Print a line for each difference; exit with 1 if any.")
@_on_cluster
def _check(target: Target) -> int:
    differences = cli.answer(target, check)
    cli.echo(*(differences or [_AS_DECLARED]))
    return cli.FAILED if differences else cli.OK


@main.command("describe", help="Print all declarations; needs no cluster.")
@click.option("--json", "is_json", is_flag=True, help="Print JSON for programs.")
@_on_cluster
def _describe(_: Target, *, is_json: bool) -> int:
    declared = TOPICS, partitions(), KafkaSettings().request_retention
    cli.echo(*(as_json(*declared).splitlines() if is_json else as_table(*declared)))
    return cli.OK


@main.command("acls", help="Print or grant the least rights of each user.")
@click.argument("client", nargs=-1)
@click.option("--nest", is_flag=True, help="The clients use NestJS.")
@click.option("--grant", "grants", is_flag=True, help="Grant them, as an administrator.")
@_on_cluster
def _acls(target: Target, *, client: list[str], nest: bool, grants: bool) -> int:
    permissions = acls(client, nest=nest)
    if grants:
        cli.answer(target, partial(grant, permissions=permissions))
        cli.echo(f"{len(permissions)} rights are granted")
    else:
        cli.echo(*map(str, permissions))
    return cli.OK


def as_table(
    topics: Iterable[Topic], partitions: int, request_retention: timedelta
) -> list[str]:
    """Return a table of topics; `partitions` is the number of those that declare none."""
    rows: list[Sequence[str]] = [_HEADS]
    for topic in topics:
        cells = (
            [topic.name],
            [_key(topic) or "-"],
            [str(topic.partitions or partitions)],
            [format_retention(topic.config(request_retention).get("retention.ms"))],
            wrap(", ".join(map(wire_type, topic.contracts)), _CARRIES_WIDTH) or ["-"],
            wrap(topic.doc, _DOC_WIDTH),
        )
        rows += zip_longest(*cells, fillvalue="")
    return [*cli.table(rows, "<" * len(_HEADS))]


def as_json(topics: Iterable[Topic], partitions: int, request_retention: timedelta) -> str:
    """Return the same as JSON: a list of objects; milliseconds, null without a limit."""
    objects = []
    for topic in topics:
        retention = int(topic.config(request_retention).get("retention.ms", -1))
        objects.append(
            {
                "name": topic.name,
                "kind": topic.kind,
                "key": _key(topic),
                "partitions": topic.partitions or partitions,
                "retention_ms": retention if retention >= 0 else None,
                "compacted": topic.kind is TopicKind.CHANGELOG,
                "carries": [wire_type(contract) for contract in topic.contracts],
                "doc": topic.doc,
            }
        )
    return json.dumps(objects, indent=2)


def _key(topic: Topic) -> str:
    return topic.key or _KEYS.get(topic.kind, "")


if __name__ == "__main__":
    main(prog_name="python -m topics")
