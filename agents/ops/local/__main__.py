"""What `make` runs: python -m agents.ops.local up|down|ps|scale|repartition|logs|clean|….

The shop runs in containers where there is a Docker engine, else as processes.
"""

import asyncio
import os
import shlex
import signal
import subprocess
import sys
from contextlib import nullcontext

import click

from agents.ops.local import compose, native
from agents.ops.local.demo import walk_through
from agents.ops.local.deployment import (
    REPOSITORY,
    Deployment,
    from_environment,
    load,
    validate_settings,
)
from agents.ops.local.repartition import kafka_alone, repartition
from topics import cli
from topics.target import Target, running_shop


def _existing(shop: Deployment) -> Deployment | None:
    """Return the shop that runs here, else that of `KAFKA`; None without either."""
    running = running_shop(shop.directory)
    if running and (saved := load(running.directory)):
        return saved[0]
    return shop if shop.kafka else None


def _demo(shop: Deployment) -> None:
    existing = _existing(shop)
    if existing is None:
        raise cli.CommandError("the shop does not run: make run-all")
    asyncio.run(walk_through(existing))


def _ui(shop: Deployment) -> None:
    port = str(shop.kafka_ui_port)
    os.execv(sys.executable, [sys.executable, "-m", "agents", "ui", "--port", port])  # noqa: S606


def _audit(shop: Deployment) -> None:
    """Audit an existing shop, or a stopped one; exit with the audit's code."""
    state, existing = shop.directory / "state", _existing(shop)
    command = [sys.executable, "-m", "agents.ops.audit"]
    command += ["--stores", str(state)] if state.is_dir() else []
    command += shlex.split(os.environ.get("AUDIT", ""))
    audited = existing or shop
    own = {"KAFKA": audited.bootstrap, "PARTITIONS": str(audited.partitions)}
    with nullcontext() if existing else kafka_alone(shop):
        environment = {**os.environ, **own}
        ran = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False)
    sys.exit(ran.returncode)


# `native` and `compose` have a function for each of the first ones.
_COMMANDS = ("up", "down", "ps", "scale", "logs", "clean")
_MORE_COMMANDS = {
    "demo": _demo,
    "ui": _ui,
    "audit": _audit,
    "repartition": repartition,
}


@click.command(context_settings=cli.HELP)
@click.argument("command", type=click.Choice([*_COMMANDS, *_MORE_COMMANDS]))
def main(command: str) -> None:
    """Start the shop, work on it, or stop it."""
    # An exception undoes a half-finished start.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by SIGTERM"))
    sys.exit(cli.run(Target("shop"), lambda _: _run(command)))


def _run(command: str) -> int:
    shop = from_environment()
    is_start = command == "up"
    if is_start:
        validate_settings()
    containers = compose.in_containers(shop)
    if command in _MORE_COMMANDS:
        _MORE_COMMANDS[command](shop)
    elif load(containers.directory) or (is_start and compose.is_chosen()):
        getattr(compose, command)(containers)
    else:
        getattr(native, command)(shop)
    return cli.OK


if __name__ == "__main__":
    main(prog_name="python -m agents.ops.local")
