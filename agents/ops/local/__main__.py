"""What `make` runs: python -m agents.ops.local up|down|ps|scale|logs|clean|demo|ui|audit.

The shop runs in containers where there is a Docker engine, else as processes.
"""

import asyncio
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from agents.ops.local import compose, native
from agents.ops.local.demo import walk_through
from agents.ops.local.deployment import (
    REPOSITORY,
    Deployment,
    ShopError,
    from_environment,
    load,
    validate_settings,
)
from agents.ops.local.progress import echo, step
from agents.ops.local.supervision import Supervisor
from topics.broker.config import BrokerLayout
from topics.broker.java import CannotRunError
from topics.broker.process import EmbeddedKafka
from topics.cli import FAILED, HELP, INTERRUPTED
from topics.target import running_shop
from topics.telemetry.logging import configure_tool

# All files that a shop writes; RUN_DIR may have other files.
_SHOP_FILES = ("kafka", "state", "logs", "marks", "lock", "supervisord.*", "shop.json")


def _scale(shop: Deployment) -> None:
    native.scale(shop.directory)
    _ps(shop)


def _down(shop: Deployment) -> None:
    echo("stopped" if native.down(shop.directory) else "nothing runs")


def _clean(shop: Deployment) -> None:
    native.down(shop.directory)
    for path in [path for pattern in _SHOP_FILES for path in shop.directory.glob(pattern)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if not any(shop.directory.iterdir()):
        shop.directory.rmdir()


def _ps(shop: Deployment) -> None:
    native.require_running(shop.directory)
    for status in Supervisor(shop.directory).statuses():
        echo(f"{status.name} {status.pid or '-'} {status.state}")


def _logs(shop: Deployment) -> None:
    files = sorted(map(str, (shop.directory / "logs").glob("*.log")))
    if not files:
        raise ShopError("there are no logs: make run-all")
    os.execvp("tail", ["tail", "-n", "20", "-F", *files])  # noqa: S606, S607


def _existing(shop: Deployment) -> Deployment | None:
    """Return the shop that runs here, else that of `KAFKA`; None without either."""
    running = running_shop(shop.directory)
    if running and (saved := load(running.directory)):
        return saved[0]
    return shop if shop.kafka else None


def _demo(shop: Deployment) -> None:
    existing = _existing(shop)
    if existing is None:
        raise ShopError("the shop does not run: make run-all")
    asyncio.run(walk_through(existing))


def _ui(shop: Deployment) -> None:
    port = str(shop.kafka_ui_port)
    os.execv(sys.executable, [sys.executable, "-m", "agents", "ui", "--port", port])  # noqa: S606


def _audit(shop: Deployment) -> None:
    """Audit an existing shop, or a stopped one; exit with the audit's code."""
    state = shop.directory / "state"
    arguments = ["--stores", str(state)] if state.is_dir() else []
    arguments += shlex.split(os.environ.get("AUDIT", ""))
    if existing := _existing(shop):
        sys.exit(_run_audit(existing, arguments))
    with native.locked(shop.directory), _kafka_alone(shop):
        sys.exit(_run_audit(shop, arguments))


def _run_audit(shop: Deployment, arguments: list[str]) -> int:
    command = [sys.executable, "-m", "agents.ops.audit", *arguments]
    own = {"KAFKA": shop.bootstrap, "PARTITIONS": str(shop.partitions)}
    environment = {**os.environ, **own}
    ran = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False)
    return ran.returncode


@contextmanager
def _kafka_alone(shop: Deployment) -> Iterator[None]:
    home = shop.directory / "kafka"
    if not (home / "formatted").exists():
        raise ShopError(f"there is no shop in {shop.directory}: make run-all")
    broker = EmbeddedKafka(BrokerLayout(home, shop.kafka_port, shop.kafka_port + 1))
    try:
        with step("the shop is stopped: Kafka alone"):
            broker.start_and_wait()
        yield
    except CannotRunError as error:
        raise ShopError(str(error)) from error
    finally:
        broker.stop()


_COMMANDS = {
    "up": native.up,
    "scale": _scale,
    "down": _down,
    "clean": _clean,
    "ps": _ps,
    "logs": _logs,
    "demo": _demo,
    "ui": _ui,
    "audit": _audit,
}


@click.command(context_settings=HELP)
@click.argument("command", type=click.Choice([*_COMMANDS]))
def main(command: str) -> None:
    """Start the shop, work on it, or stop it."""
    # An exception undoes a half-finished start.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by SIGTERM"))
    configure_tool()
    try:
        _run(command)
    except ShopError as reason:
        click.echo(f"shop: {reason}", err=True)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _run(command: str) -> None:
    shop = from_environment()
    is_start = command == "up"
    if is_start:
        validate_settings(os.environ)
    containers = compose.in_containers(shop)
    runs_there = load(containers.directory) is not None
    if command in compose.COMMANDS and (runs_there or (is_start and compose.is_chosen())):
        compose.COMMANDS[command](containers)
    else:
        _COMMANDS[command](shop)


if __name__ == "__main__":
    main(prog_name="python -m agents.ops.local")
