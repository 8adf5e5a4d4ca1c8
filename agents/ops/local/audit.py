"""Audit of the shop in a directory: a running one, or a stopped one with its state."""

import asyncio
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agents.ops.local.deployment import (
    REPOSITORY,
    Deployment,
    ShopError,
    from_environment,
    load,
)
from agents.ops.local.environment import file_lock
from agents.ops.local.progress import step
from topics.broker.config import BrokerLayout
from topics.broker.java import CannotRunError
from topics.broker.process import EmbeddedKafka
from topics.running_shop import running_shop


def audit(directory: Path) -> int:
    """Run the audit; `AUDIT` in the environment holds further options.

    Returns:
        The exit code of `agents.ops.audit`.

    Raises:
        ShopError: there is no shop.
    """
    running = running_shop(directory)
    if running and (saved := load(running.directory)):
        return _run(saved[0], directory)
    shop = from_environment()
    if shop.kafka:
        return _run(shop, directory)
    with file_lock(directory / "lock"), _kafka_alone(shop):
        return _run(shop, directory)


@contextmanager
def _kafka_alone(shop: Deployment) -> Iterator[None]:
    """Run only the broker of a stopped shop."""
    home = shop.directory / "kafka"
    if not (home / "formatted").exists():
        raise ShopError(f"there is no shop in {shop.directory}: make run-all")
    broker = EmbeddedKafka(BrokerLayout(home, shop.kafka_port, shop.kafka_port + 1))
    try:
        with step("the shop is stopped: Kafka alone"):
            broker.start()
            asyncio.run(broker.ready())
        yield
    except CannotRunError as error:
        raise ShopError(str(error)) from error
    finally:
        broker.stop()


def _run(shop: Deployment, directory: Path) -> int:
    arguments = [sys.executable, "-m", "agents.ops.audit"]
    state = directory / "state"
    arguments += ["--stores", str(state)] if state.is_dir() else []
    arguments += shlex.split(os.environ.get("AUDIT", ""))
    own = {"KAFKA": shop.bootstrap, "PARTITIONS": str(shop.partitions)}
    environment = {**os.environ, **own}
    return subprocess.run(
        arguments, cwd=REPOSITORY, env=environment, check=False
    ).returncode
