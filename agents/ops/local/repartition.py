"""make repartition: the services are stopped meanwhile, Kafka is not."""

import asyncio
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from agents.ops.local import compose, native
from agents.ops.local.deployment import (
    REPOSITORY,
    Deployment,
    digests,
    load,
    locked,
    save_partitions,
)
from agents.ops.local.processes import Supervisor, Tier
from topics import cli

_USAGE = "make repartition PARTITIONS=64, or make repartition REPARTITION=--abort"


def repartition(shop: Deployment) -> None:
    """Change the number of partitions of the shop that runs or stopped here, or of `KAFKA`.

    A running shop is stopped and started again, unless the tool fails.
    """
    options = shlex.split(os.environ.get("REPARTITION", ""))
    partitions = None if "--abort" in options else os.environ.get("PARTITIONS")
    if partitions is None and "--abort" not in options:
        raise cli.CommandError(f"no number of partitions: {_USAGE}")
    arguments = [*options, *([partitions] if partitions else [])]
    containers, supervisor = compose.in_containers(shop), Supervisor(shop.directory)
    if saved := load(containers.directory):
        compose.stop_services(saved[0])
        _run(saved[0], arguments)
        changed = _changed(saved[0], partitions)
        compose.restart(changed, saved[1] | {"PARTITIONS": str(changed.partitions)})
    elif supervisor.is_running:
        with locked(shop.directory):
            running, given = native.require_running(supervisor)
            _stop_services(running, supervisor)
            _run(running, arguments)
            changed = _changed(running, partitions)
            given |= digests({"PARTITIONS": str(changed.partitions)})
            work = native.launch(changed, supervisor, given)
            asyncio.run(supervisor.guard(work))
    elif shop.kafka:
        _run(shop, arguments)
    else:
        with kafka_alone(shop):
            _run(shop, arguments)
    if partitions:
        save_partitions(shop.directory, int(partitions))


@contextmanager
def kafka_alone(shop: Deployment) -> Iterator[None]:
    """Start Kafka of a stopped shop, and stop it at the end."""
    if not (shop.directory / "kafka" / "formatted").exists():
        raise cli.CommandError(
            f"there is no shop in {shop.directory}, or it was in containers: make run-all"
        )
    supervisor = Supervisor(shop.directory)
    with locked(shop.directory):
        try:
            with cli.step("the shop is stopped: Kafka alone"):
                supervisor.start(native.processes(shop), os.environ)
                asyncio.run(supervisor.guard(native.start_kafka(shop, supervisor)))
            yield
        finally:
            native.stop(supervisor)


def _stop_services(shop: Deployment, supervisor: Supervisor) -> None:
    with cli.step("stopping the services"):
        for tier in (Tier.GATEWAY, Tier.SERVICE):
            supervisor.stop(p.name for p in native.processes(shop) if p.tier == tier)


def _changed(shop: Deployment, partitions: str | None) -> Deployment:
    return replace(shop, partitions=int(partitions)) if partitions else shop


def _run(shop: Deployment, arguments: list[str]) -> None:
    """Run the tool on the shop's Kafka; its output is for the terminal."""
    command = [sys.executable, "-m", "agents.ops.repartition", "--yes", *arguments]
    environment = {**os.environ, "KAFKA": shop.bootstrap}
    ran = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False)
    if ran.returncode:
        raise cli.CommandError(f"the services stay stopped; go on with {_USAGE}")
