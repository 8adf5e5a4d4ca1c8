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
from agents.ops.local.validation import require_sound_gateway, validate_settings
from topics.admin import TopicsError, create
from topics.broker.config import is_free
from topics.broker.process import answers
from topics.kafka.connection import KafkaAuthenticationError
from topics.kafka.settings import KafkaSettings

_KAFKA_SECONDS = 180.0
_CLUSTER_SECONDS = 15.0  # of somebody else's, which should be there
_POLL_SECONDS = 0.2


def up(environment: Mapping[str, str] = os.environ) -> None:
    """Start the shop, or make sure that it runs; return when all of it serves.

    Raises:
        ShopError: it can't be; a shop that did not run before runs no more.
    """
    asked, told = from_environment(environment), settings(environment)
    validate_settings(told)
    require_sound_gateway(environment)
    given = _digests(told)
    with file_lock(asked.directory / "lock"):
        supervisor = Supervisor(asked.directory)
        running = load(asked.directory) if supervisor.is_running else None
        if running and given.items() <= running[1].items():
            shop = running[0].scaled(environment)
            _require_free_ports(shop, running[0])
            _bring_up(shop, supervisor, running[1])
        else:
            _start_anew(asked, supervisor, given, environment)
    _tell_where_things_are(load(asked.directory))


def scale(environment: Mapping[str, str] = os.environ) -> None:
    """Change the number of processes; what the environment doesn't name stays.

    Raises:
        ShopError: the shop does not run, or not all of it serves afterwards.
    """
    if not any(environment.get(variable) for variable in COUNTS.values()):
        raise ShopError(f"say how many: make scale {'=2 '.join(COUNTS.values())}=2")
    directory = from_environment(environment).directory
    with file_lock(directory / "lock"):
        supervisor = Supervisor(directory)
        running, given = require_running(directory)
        shop = running.scaled(environment)
        _require_free_ports(shop, running)
        _bring_up(shop, supervisor, given)


def down(directory: Path) -> bool:
    """Stop all processes, keep their state; tell whether there were any."""
    with file_lock(directory / "lock"):
        supervisor = Supervisor(directory)
        was_running = supervisor.is_running
        if was_running:
            _stop(supervisor)
        delete_state(directory)
        return end_orphans(directory) > 0 or was_running


def require_running(directory: Path) -> tuple[Deployment, dict[str, str]]:
    """Return what runs in a directory, and the settings that it was given.

    Raises:
        ShopError: nothing does.
    """
    saved = load(directory) if Supervisor(directory).is_running else None
    if saved is None:
        raise ShopError("the shop does not run: make run-all")
    return saved


def _start_anew(
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
        wanted = {name: value for name, value in env.items() if value}
        supervisor.start(processes(shop), wanted | {MARK: str(shop.directory)})
        _bring_up(shop, supervisor, given)
    except BaseException:
        # Nothing stays half-started, not even when somebody lost patience.
        if supervisor.is_running:
            _stop(supervisor)
        delete_state(shop.directory)
        raise


def _bring_up(shop: Deployment, supervisor: Supervisor, given: dict[str, str]) -> None:
    """Take a shop with a supervisor to where all of it serves."""
    everything = processes(shop)
    supervisor.update(everything)
    save(shop, given)
    cluster = KafkaSettings(kafka=shop.bootstrap, partitions=shop.partitions)
    watch = CrashLoopDetector(supervisor)
    with step(f"Kafka at {shop.bootstrap}"):
        supervisor.run(one.name for one in everything if one.tier == Tier.KAFKA)
        patience = _CLUSTER_SECONDS if shop.kafka else _KAFKA_SECONDS
        asyncio.run(watch.guard(_answer_of(cluster, patience)))
    with step("topics"):
        _create_topics(cluster)
    with step("services, until the owner of each partition answers"):
        supervisor.run(one.name for one in everything)
        _open(shop, cluster, watch)


async def _answer_of(cluster: KafkaSettings, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not await answers(**cluster.client_options()):  # noqa: ASYNC110
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise ShopError(f"no Kafka answers at {cluster.kafka}") from None


def _create_topics(cluster: KafkaSettings) -> None:
    try:
        asyncio.run(create(cluster))
    except (TopicsError, KafkaAuthenticationError) as error:
        raise ShopError(f"topics: {error}") from error


def _open(shop: Deployment, cluster: KafkaSettings, watch: CrashLoopDetector) -> None:
    marks = shop.directory / "marks"
    try:
        asyncio.run(watch.guard(wait_until_ready(shop.gateway_urls, cluster, marks)))
        asyncio.run(watch.guard(watch.until_all_run()))
    except NotReadyError as error:
        raise ShopError(f"{error}; the logs are in {shop.directory / 'logs'}") from error


def _fetch_kafka(shop: Deployment) -> None:
    if shop.kafka:
        return
    with step("Java and the jars of Kafka"):
        words = [sys.executable, "-m", "topics.broker", "fetch"]
        ran = subprocess.run(words, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise ShopError(ran.stderr.strip())


def _require_free_ports(shop: Deployment, running: Deployment | None = None) -> None:
    ours = running.ports if running else {}
    for port, variable in shop.ports.items():
        if port not in ours and not is_free(port):
            raise ShopError(
                f"port {port} is taken by another program; {variable} chooses another one"
            )


def _require_same_partitions(
    asked: Deployment, running: tuple[Deployment, dict[str, str]] | None
) -> None:
    if running and not asked.kafka and running[0].partitions != asked.partitions:
        raise ShopError(
            f"PARTITIONS is {running[0].partitions} for good: records lie where their keys"
            " say; make clean forgets them"
        )


def _digests(settings: Mapping[str, str]) -> dict[str, str]:
    # All that is asked of them later is whether they changed; and some are passwords.
    return {name: sha256(value.encode()).hexdigest() for name, value in settings.items()}


def _stop(supervisor: Supervisor) -> None:
    shop = load(supervisor.directory)
    tiers = {one.name: one.tier for one in processes(shop[0])} if shop else {}
    for tier in sorted(Tier, reverse=True):
        supervisor.stop(name for name in tiers if tiers[name] == tier)
    supervisor.shut_down()
    delete_state(supervisor.directory)


def _tell_where_things_are(saved: tuple[Deployment, dict[str, str]] | None) -> None:
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
