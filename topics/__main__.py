"""Create and check a cluster's topics; print their declarations and their ACLs.

    python -m topics create [--yes]    create missing topics, correct other settings
    python -m topics check             a line for each difference; exit code 1 if any
    python -m topics describe [--json] all declarations; needs no cluster
    python -m topics acls [--nest] [CLIENT …]   the least rights of each user

Each line of `acls` is for `kafka-acls.sh`. The cluster is that of the shop that runs in
this directory, else that of `KAFKA`. The partitions come from the same place.
`REQUEST_RETENTION_HOURS` comes from the environment. At a terminal `create` prompts for a
confirmation. Without one it creates missing topics; it changes settings only with `--yes`.
"""

import click

from topics import cli
from topics.admin import Plan, check, create, plan
from topics.catalog import TOPICS
from topics.describe import as_json, lines
from topics.kafka.settings import KafkaSettings
from topics.target import Target, partitions
from topics.topology import acls

_AS_DECLARED = f"{len(TOPICS)} topics are as declared"
_on_cluster = cli.on_cluster("topics", misused=cli.FAILED)


@click.group(help=cli.paragraphs(__doc__), context_settings=cli.HELP)
def main() -> None:
    """Run the command of the command line."""


@main.command("create", help="Create missing topics, correct other settings.")
@click.option("--yes", is_flag=True, help="Write without a confirmation.")
@_on_cluster
def _create(target: Target, *, yes: bool) -> int:
    todo = cli.answer(target, plan)
    if not yes and todo.changed and not cli.is_attended():
        reason = "no terminal to confirm at; --yes changes the settings"
        for line in (*todo.changed, reason):
            cli.echo_error(f"topics: {line}")
        return cli.MISUSED
    if not yes and cli.is_attended() and not _confirm(todo, target):
        raise cli.CommandError("nothing was changed")
    return _print(cli.answer(target, create) or [_AS_DECLARED])


def _confirm(todo: Plan, target: Target) -> bool:
    changes = [*todo.missing, *todo.changed]
    for line in changes:
        cli.echo_error(line)
    return not changes or cli.confirm(f"Apply this to Kafka at {target.cluster.kafka}?")


@main.command("check", help="Print a line for each difference; exit with 1 if any.")
@_on_cluster
def _check(target: Target) -> int:
    differences = cli.answer(target, check)
    _print(differences or [_AS_DECLARED])
    return cli.FAILED if differences else cli.OK


@main.command("describe", help="Print all declarations; needs no cluster.")
@click.option("--json", is_flag=True, help="Print JSON for programs.")
@_on_cluster
def _describe(_: Target, *, json: bool) -> int:
    declared = TOPICS, partitions(), KafkaSettings().request_retention
    return _print(as_json(*declared).splitlines() if json else lines(*declared))


@main.command("acls", help="Print the least rights of each user.")
@click.argument("client", nargs=-1)
@click.option("--nest", is_flag=True, help="The clients use NestJS.")
@_on_cluster
def _acls(_: Target, *, client: list[str], nest: bool) -> int:
    return _print([str(acl) for acl in acls(client, nest=nest)])


def _print(shown: list[str]) -> int:
    for line in shown:
        cli.echo(line)
    return cli.OK


if __name__ == "__main__":
    main(prog_name="python -m topics")
