"""The shop as processes of this machine, under a supervisor in the background."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from agents.ops.local.crash_loop import CrashLoopDetector
from agents.ops.local.deployment import (
    COUNTS,
    Deployment,
    ShopError,
    delete_state,
    from_environment,
    load,
    save,
    settings,
)
from agents.ops.local.environment import file_lock
from agents.ops.local.orphans import MARK, end_orphans
from agents.ops.local.processes import Tier, processes
from agents.ops.local.progress import echo, step
from agents.ops.local.readiness import NotReadyError, wait_until_ready
from agents.ops.local.supervision import Supervisor
from agents.ops.local.validation import validate_gateway, validate_settings
from topics.admin import TopicsError, create
from topics.broker.config import is_free
from topics.broker.process import answers
from topics.kafka.connection import KafkaAuthenticationError
from topics.kafka.settings import KafkaSettings

_KAFKA_SECONDS = 180.0
_CLUSTER_SECONDS = 15.0  # an existing cluster should answer at once
_POLL_SECONDS = 0.2


def up(environment: Mapping[str, str] = os.environ) -> None:
    """Start the shop, unless it runs; return when all services answer.

    Raises:
        ShopError: the start failed; no process of a new shop stays.
    """
    wanted, values = from_environment(environment), settings(environment)
    validate_settings(values)
    validate_gateway(environment)
    given = _digests(values)
    with file_lock(wanted.directory / "lock"):
        supervisor = Supervisor(wanted.directory)
        running = load(wanted.directory) if supervisor.is_running else None
        if running and given.items() <= running[1].items():
            shop = running[0].scaled(environment)
            _require_free_ports(shop, running[0])
            _bring_up(shop, supervisor, running[1])
        else:
            _restart(wanted, supervisor, given, environment)
    _print_addresses(load(wanted.directory))


def scale(environment: Mapping[str, str] = os.environ) -> None:
    """Change the numbers of processes that the environment names.

    Raises:
        ShopError: the shop does not run, or a service does not answer afterwards.
    """
    if not any(environment.get(variable) for variable in COUNTS.values()):
        raise ShopError(
            f"no number of processes: make scale {'=2 '.join(COUNTS.values())}=2"
        )
    directory = from_environment(environment).directory
    with file_lock(directory / "lock"):
        supervisor = Supervisor(directory)
        running, given = require_running(directory)
        shop = running.scaled(environment)
        _require_free_ports(shop, running)
        _bring_up(shop, supervisor, given)


def down(directory: Path) -> bool:
    """Stop all processes, keep their state; return whether there were any."""
    with file_lock(directory / "lock"):
        supervisor = Supervisor(directory)
        was_running = supervisor.is_running
        if was_running:
            _stop(supervisor)
        delete_state(directory)
        return end_orphans(directory) > 0 or was_running


def require_running(directory: Path) -> tuple[Deployment, dict[str, str]]:
    """Return the running shop of a directory, and digests of its settings.

    Raises:
        ShopError: no shop runs there.
    """
    saved = load(directory) if Supervisor(directory).is_running else None
    if saved is None:
        raise ShopError("the shop does not run: make run-all")
    return saved


def _restart(
    shop: Deployment, supervisor: Supervisor, given: dict[str, str], env: Mapping[str, str]
) -> None:
    if supervisor.is_running:
        _require_same_partitions(shop, load(shop.directory))
        with step("stopping the shop, which runs with other settings"):
            _stop(supervisor)
    end_orphans(shop.directory)
    _require_free_ports(shop)
    try:
        _fetch_kafka(shop)
        variables = {name: value for name, value in env.items() if value}
        supervisor.start(processes(shop), variables | {MARK: str(shop.directory)})
        _bring_up(shop, supervisor, given)
    except BaseException:
        # A failed or interrupted start leaves no process behind.
        if supervisor.is_running:
            _stop(supervisor)
        delete_state(shop.directory)
        raise


def _bring_up(shop: Deployment, supervisor: Supervisor, given: dict[str, str]) -> None:
    """Start processes in order, until all services answer."""
    all_processes = processes(shop)
    supervisor.update(all_processes)
    save(shop, given)
    cluster = KafkaSettings(kafka=shop.bootstrap, partitions=shop.partitions)
    detector = CrashLoopDetector(supervisor)
    with step(f"Kafka at {shop.bootstrap}"):
        supervisor.run(p.name for p in all_processes if p.tier == Tier.KAFKA)
        timeout = _CLUSTER_SECONDS if shop.kafka else _KAFKA_SECONDS
        asyncio.run(detector.guard(_wait_for(cluster, timeout)))
    with step("topics"):
        _create_topics(cluster)
    with step("services, until the owner of each partition answers"):
        supervisor.run(process.name for process in all_processes)
        _wait_until_open(shop, cluster, detector)


async def _wait_for(cluster: KafkaSettings, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not await answers(**cluster.client_options()):  # noqa: ASYNC110
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise ShopError(f"Kafka at {cluster.kafka} does not answer") from None


def _create_topics(cluster: KafkaSettings) -> None:
    try:
        asyncio.run(create(cluster))
    except (TopicsError, KafkaAuthenticationError) as error:
        raise ShopError(f"topics: {error}") from error


def _wait_until_open(
    shop: Deployment, cluster: KafkaSettings, detector: CrashLoopDetector
) -> None:
    marks = shop.directory / "marks"
    try:
        asyncio.run(detector.guard(wait_until_ready(shop.gateway_urls, cluster, marks)))
        asyncio.run(detector.guard(detector.until_all_run()))
    except NotReadyError as error:
        raise ShopError(f"{error}; the logs are in {shop.directory / 'logs'}") from error


def _fetch_kafka(shop: Deployment) -> None:
    if shop.kafka:
        return
    with step("Java and the jars of Kafka"):
        command = [sys.executable, "-m", "topics.broker", "fetch"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise ShopError(ran.stderr.strip())


def _require_free_ports(shop: Deployment, running: Deployment | None = None) -> None:
    own = running.ports if running else {}
    for port, variable in shop.ports.items():
        if port not in own and not is_free(port):
            raise ShopError(
                f"port {port} is taken by another program; {variable} chooses another one"
            )


def _require_same_partitions(
    wanted: Deployment, running: tuple[Deployment, dict[str, str]] | None
) -> None:
    if running and not wanted.kafka and running[0].partitions != wanted.partitions:
        raise ShopError(
            f"PARTITIONS is {running[0].partitions} for good, since keys determine the"
            " partitions of records; make clean deletes all records"
        )


def _digests(settings: Mapping[str, str]) -> dict[str, str]:
    # Digests suffice to detect changes, and some values are passwords.
    return {name: sha256(value.encode()).hexdigest() for name, value in settings.items()}


def _stop(supervisor: Supervisor) -> None:
    shop = load(supervisor.directory)
    all_processes = processes(shop[0]) if shop else []
    for tier in sorted(Tier, reverse=True):
        supervisor.stop(p.name for p in all_processes if p.tier == tier)
    supervisor.shut_down()
    delete_state(supervisor.directory)


def _print_addresses(saved: tuple[Deployment, dict[str, str]] | None) -> None:
    if not saved:
        return
    shop, _ = saved
    gateways = " ".join(shop.gateway_urls)
    stand_in = f"127.0.0.1:{shop.product_port} (stand-in, token testtoken)"
    echo(f"""
The shop is open.
  gateway         {gateways}
  Kafka           {shop.bootstrap}
  ProductService  {shop.product_service or stand_in}
  logs, state     {shop.directory}
Try: make demo · make kafka-ui · make ps · make logs · make scale LOMS_WORKERS=2
     make down""")
