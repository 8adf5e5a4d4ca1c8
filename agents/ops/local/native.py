"""The shop as processes of this machine, under a supervisor in the background."""

import asyncio
import os
import shutil
import sys
import time
from contextlib import suppress

from agents.ops.local.deployment import (
    COUNTS,
    Deployment,
    delete_state,
    digests,
    load,
    locked,
    output_of,
    save,
    settings,
)
from agents.ops.local.processes import Process, Supervisor, Tier
from agents.ops.local.readiness import wait_until_ready
from topics.admin import create
from topics.broker.process import is_free
from topics.cli import CommandError, echo, step
from topics.kafka.liveness import NotRespondingError, reach
from topics.kafka.settings import KafkaSettings
from topics.layout import require_finished

_KAFKA_SECONDS = 180.0
_CLUSTER_SECONDS = 15.0  # an existing cluster should answer at once
_POLL_SECONDS = 0.2

# All files that a shop writes; RUN_DIR may have other files.
_FILES = ("kafka", "state", "logs", "marks", "lock", "supervisord.*", "shop.json")

_PYTHON = (sys.executable, "-m")
_WORKERS = ("products", "notifications", "loms", "checkout")


def processes(shop: Deployment) -> list[Process]:
    """Return all processes of a shop, in the order of their start."""
    numbers = {"loms": shop.loms_workers, "checkout": shop.checkout_workers}
    storage = ("--dir", str(shop.directory / "kafka"))
    kafka = ("topics.broker", "run", *storage, "--port", str(shop.kafka_port))
    stand_in = ("agents.ops.product_stand_in", "--port", str(shop.product_port))
    everything = [
        Process("kafka", (*_PYTHON, *kafka), tier=Tier.KAFKA),
        Process("product-service", (*_PYTHON, *stand_in)),
        *(
            _worker(shop, service, index)
            for service in _WORKERS
            for index in range(numbers.get(service, 1))
        ),
        *(_gateway(shop, index, port) for index, port in enumerate(shop.gateway_ports)),
    ]
    existing = {"kafka": shop.kafka, "product-service": shop.product_service}
    return [process for process in everything if not existing.get(process.name)]


def _worker(shop: Deployment, service: str, index: int) -> Process:
    name = f"{service}-{index + 1}"
    # The embedded broker allows 2 s, but a busy machine then loses workers. Other brokers
    # mostly allow 6 s.
    session_timeout = shop.session_timeout_seconds or ("6" if shop.kafka else "3")
    # A worker's port is independent of the numbers of workers.
    port = shop.metrics_port and shop.metrics_port + _WORKERS.index(service) + 2 * index
    own = {
        "WORKER": name,
        "STATE_DIR": str(shop.directory / "state" / name),
        "PRODUCT_SERVICE": shop.product_service or f"127.0.0.1:{shop.product_port}",
        "SESSION_TIMEOUT_SECONDS": session_timeout,
        "METRICS_PORT": str(port),
    }
    return Process(name, (*_PYTHON, "agents", service), _cluster(shop) | own)


def _gateway(shop: Deployment, index: int, port: int) -> Process:
    own = {"GATEWAY_INDEX": str(index), "GATEWAY_PORT": str(port)}
    name, environment = f"gateway-{index + 1}", _cluster(shop) | own
    return Process(name, (*_PYTHON, "gateway"), environment, Tier.GATEWAY)


def _cluster(shop: Deployment) -> dict[str, str]:
    return {"KAFKA": shop.bootstrap, "PARTITIONS": str(shop.partitions)}


def up(wanted: Deployment) -> None:
    """Start the shop, unless it runs; a failed start leaves no process."""
    given = digests(settings(os.environ))
    with locked(wanted.directory):
        supervisor = Supervisor(wanted.directory)
        running = load(wanted.directory) if supervisor.is_running else None
        if running and given.items() <= running[1].items():
            shop = _rescale(supervisor)
        else:
            shop = wanted
            _restart(shop, supervisor, given)
    stand_in = f"127.0.0.1:{shop.product_port} (stand-in, token testtoken)"
    echo(
        "",
        "The shop is open.",
        f"  gateway         {' '.join(shop.gateway_urls)}",
        f"  Kafka           {shop.bootstrap}",
        f"  ProductService  {shop.product_service or stand_in}",
        f"  logs, state     {shop.directory}",
        "Try: make demo · make kafka-ui · make ps · make logs · make scale LOMS_WORKERS=2",
        "     make down",
    )


def scale(shop: Deployment) -> None:
    """Change the numbers of processes that the environment names."""
    variables = [name.upper() for name in COUNTS]
    if not any(map(os.environ.get, variables)):
        raise CommandError(f"no number of processes: make scale {'=2 '.join(variables)}=2")
    with locked(shop.directory):
        _rescale(Supervisor(shop.directory))
    ps(shop)


def down(shop: Deployment) -> None:
    """Stop all processes; keep their state."""
    with locked(shop.directory):
        supervisor = Supervisor(shop.directory)
        anything = [stop(supervisor), supervisor.end_orphans()]
    echo("stopped" if any(anything) else "nothing runs")


def clean(shop: Deployment) -> None:
    """Stop all processes; delete their state."""
    down(shop)
    for path in [path for pattern in _FILES for path in shop.directory.glob(pattern)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if not any(shop.directory.iterdir()):
        shop.directory.rmdir()


def ps(shop: Deployment) -> None:
    """Print each process: name, process id, state."""
    supervisor = Supervisor(shop.directory)
    require_running(supervisor)
    for status in supervisor.statuses():
        echo(f"{status.name} {status.pid or '-'} {status.state}")


def logs(shop: Deployment) -> None:
    """Follow the logs of all processes."""
    files = sorted(map(str, (shop.directory / "logs").glob("*.log")))
    if not files:
        raise CommandError("there are no logs: make run-all")
    os.execvp("tail", ["tail", "-n", "20", "-F", *files])  # noqa: S606, S607


def stop(supervisor: Supervisor) -> bool:
    """Stop a supervisor and its processes; return whether it was running."""
    shop = load(supervisor.directory)
    was_running = supervisor.is_running
    if was_running:
        all_processes = processes(shop[0]) if shop else []
        for tier in sorted(Tier, reverse=True):
            supervisor.stop(p.name for p in all_processes if p.tier == tier)
        supervisor.shut_down()
    delete_state(supervisor.directory)
    return was_running


async def start_kafka(shop: Deployment, supervisor: Supervisor) -> KafkaSettings:
    """Start the embedded broker, if the shop has one; return when the cluster answers."""
    supervisor.run(p.name for p in processes(shop) if p.tier == Tier.KAFKA)
    cluster = KafkaSettings(kafka=shop.bootstrap, partitions=shop.partitions)
    deadline = time.monotonic() + (_CLUSTER_SECONDS if shop.kafka else _KAFKA_SECONDS)
    while time.monotonic() < deadline:
        with suppress(NotRespondingError):
            await reach(cluster)
            return cluster
        await asyncio.sleep(_POLL_SECONDS)
    raise CommandError(f"Kafka at {cluster.kafka} does not answer")


def require_running(supervisor: Supervisor) -> tuple[Deployment, dict[str, str]]:
    """Return the running shop, and digests of its settings."""
    saved = load(supervisor.directory) if supervisor.is_running else None
    if saved is None:
        raise CommandError("the shop does not run: make run-all")
    return saved


def _rescale(supervisor: Supervisor) -> Deployment:
    running, given = require_running(supervisor)
    shop = running.scaled(os.environ)
    _require_free_ports(shop, running)
    asyncio.run(supervisor.guard(launch(shop, supervisor, given)))
    return shop


def _restart(shop: Deployment, supervisor: Supervisor, given: dict[str, str]) -> None:
    if supervisor.is_running:
        saved = load(shop.directory)
        if saved and not shop.kafka and saved[0].partitions != shop.partitions:
            raise CommandError(
                f"PARTITIONS is {saved[0].partitions}, and only make repartition changes it"
            )
        if saved:
            _require_free_ports(shop, saved[0])
        with step("stopping the shop, which runs with other settings"):
            stop(supervisor)
    supervisor.end_orphans()
    _require_free_ports(shop)
    try:
        if not shop.kafka:
            with step("Java and the jars of Kafka"):
                output_of(sys.executable, "-m", "topics.broker", "fetch")
        environment = {name: value for name, value in os.environ.items() if value}
        supervisor.start(processes(shop), environment)
        asyncio.run(supervisor.guard(launch(shop, supervisor, given)))
    except BaseException:
        # A failed or interrupted start leaves no process behind.
        stop(supervisor)
        raise


async def launch(shop: Deployment, supervisor: Supervisor, given: dict[str, str]) -> None:
    """Start processes in order, until all services answer."""
    all_processes = processes(shop)
    supervisor.update(all_processes)
    save(shop, given)
    with step(f"Kafka at {shop.bootstrap}"):
        cluster = await start_kafka(shop, supervisor)
    with step("topics"):
        await require_finished(cluster)
        await create(cluster)
    with step("services, until the owner of each partition answers"):
        supervisor.run(process.name for process in all_processes)
        try:
            await wait_until_ready(shop.gateway_urls, cluster, shop.directory / "marks")
        except CommandError as error:
            raise CommandError(f"{error}; the logs are in {shop.directory}/logs") from error
        while {s.state for s in supervisor.statuses()} != {"RUNNING"}:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)


def _require_free_ports(shop: Deployment, running: Deployment | None = None) -> None:
    own = running.ports if running else {}
    for port, variable in shop.ports.items():
        if port not in own and not is_free(port):
            raise CommandError(
                f"port {port} is taken by another program; {variable} chooses another one"
            )
