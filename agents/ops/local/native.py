"""The shop as processes of this machine, under a supervisor in the background."""

import asyncio
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from agents.ops.local.deployment import (
    COUNTS,
    Deployment,
    ShopError,
    delete_state,
    load,
    output_of,
    save,
    settings,
)
from agents.ops.local.processes import Tier, processes
from agents.ops.local.progress import echo, step
from agents.ops.local.readiness import wait_until_ready
from agents.ops.local.supervision import Supervisor
from topics.admin import TopicsError, create
from topics.broker.config import is_free
from topics.broker.process import answers
from topics.kafka.connection import KafkaAuthenticationError
from topics.kafka.settings import KafkaSettings

_KAFKA_SECONDS = 180.0
_CLUSTER_SECONDS = 15.0  # an existing cluster should answer at once
_POLL_SECONDS = 0.2


def up(wanted: Deployment) -> None:
    """Start the shop, unless it runs; a failed start leaves no process."""
    # Digests suffice to detect changes, and some values are passwords.
    values = settings(os.environ).items()
    given = {name: sha256(value.encode()).hexdigest() for name, value in values}
    with locked(wanted.directory):
        supervisor = Supervisor(wanted.directory)
        running = load(wanted.directory) if supervisor.is_running else None
        if running and given.items() <= running[1].items():
            shop = _rescale(supervisor, *running)
        else:
            shop = wanted
            _restart(shop, supervisor, given)
    stand_in = f"127.0.0.1:{shop.product_port} (stand-in, token testtoken)"
    echo(f"""
The shop is open.
  gateway         {" ".join(shop.gateway_urls)}
  Kafka           {shop.bootstrap}
  ProductService  {shop.product_service or stand_in}
  logs, state     {shop.directory}
Try: make demo · make kafka-ui · make ps · make logs · make scale LOMS_WORKERS=2
     make down""")


def scale(directory: Path) -> None:
    """Change the numbers of processes that the environment names."""
    variables = [name.upper() for name in COUNTS]
    if not any(map(os.environ.get, variables)):
        raise ShopError(f"no number of processes: make scale {'=2 '.join(variables)}=2")
    with locked(directory):
        supervisor = Supervisor(directory)
        _rescale(supervisor, *require_running(directory))


def down(directory: Path) -> bool:
    """Stop all processes, keep their state; return whether there were any."""
    with locked(directory):
        supervisor = Supervisor(directory)
        was_running = supervisor.is_running
        if was_running:
            _stop(supervisor)
        delete_state(directory)
        return supervisor.end_orphans() > 0 or was_running


def require_running(directory: Path) -> tuple[Deployment, dict[str, str]]:
    """Return the running shop of a directory, and digests of its settings."""
    saved = load(directory) if Supervisor(directory).is_running else None
    if saved is None:
        raise ShopError("the shop does not run: make run-all")
    return saved


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the lock of a directory, which excludes other processes of this machine."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _rescale(
    supervisor: Supervisor, running: Deployment, given: dict[str, str]
) -> Deployment:
    shop = running.scaled(os.environ)
    _require_free_ports(shop, running)
    asyncio.run(supervisor.guard(_open(shop, supervisor, given)))
    return shop


def _restart(shop: Deployment, supervisor: Supervisor, given: dict[str, str]) -> None:
    if supervisor.is_running:
        saved = load(shop.directory)
        if saved and not shop.kafka and saved[0].partitions != shop.partitions:
            raise ShopError(
                f"PARTITIONS is {saved[0].partitions} and can't change, since keys"
                " determine the partitions of records; make clean deletes all records"
            )
        if saved:
            _require_free_ports(shop, saved[0])
        with step("stopping the shop, which runs with other settings"):
            _stop(supervisor)
    supervisor.end_orphans()
    _require_free_ports(shop)
    try:
        if not shop.kafka:
            with step("Java and the jars of Kafka"):
                output_of(sys.executable, "-m", "topics.broker", "fetch")
        environment = {name: value for name, value in os.environ.items() if value}
        supervisor.start(processes(shop), environment)
        asyncio.run(supervisor.guard(_open(shop, supervisor, given)))
    except BaseException:
        # A failed or interrupted start leaves no process behind.
        if supervisor.is_running:
            _stop(supervisor)
        delete_state(shop.directory)
        raise


async def _open(shop: Deployment, supervisor: Supervisor, given: dict[str, str]) -> None:
    """Start processes in order, until all services answer."""
    all_processes = processes(shop)
    supervisor.update(all_processes)
    save(shop, given)
    cluster = KafkaSettings(kafka=shop.bootstrap, partitions=shop.partitions)
    with step(f"Kafka at {shop.bootstrap}"):
        supervisor.run(p.name for p in all_processes if p.tier == Tier.KAFKA)
        await _wait_for(cluster, _CLUSTER_SECONDS if shop.kafka else _KAFKA_SECONDS)
    with step("topics"):
        try:
            await create(cluster)
        except (TopicsError, KafkaAuthenticationError) as error:
            raise ShopError(f"topics: {error}") from error
    with step("services, until the owner of each partition answers"):
        supervisor.run(process.name for process in all_processes)
        try:
            await wait_until_ready(shop.gateway_urls, cluster, shop.directory / "marks")
        except ShopError as error:
            logs = shop.directory / "logs"
            raise ShopError(f"{error}; the logs are in {logs}") from error
        while {s.state for s in supervisor.statuses()} != {"RUNNING"}:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)


async def _wait_for(cluster: KafkaSettings, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not await answers(**cluster.client_options()):  # noqa: ASYNC110
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise ShopError(f"Kafka at {cluster.kafka} does not answer") from None


def _require_free_ports(shop: Deployment, running: Deployment | None = None) -> None:
    own = running.ports if running else {}
    for port, variable in shop.ports.items():
        if port not in own and not is_free(port):
            raise ShopError(
                f"port {port} is taken by another program; {variable} chooses another one"
            )


def _stop(supervisor: Supervisor) -> None:
    shop = load(supervisor.directory)
    all_processes = processes(shop[0]) if shop else []
    for tier in sorted(Tier, reverse=True):
        supervisor.stop(p.name for p in all_processes if p.tier == tier)
    supervisor.shut_down()
    delete_state(supervisor.directory)
