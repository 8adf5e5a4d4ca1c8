"""A whole shop of the tests' own: real processes on ports and in directories of its own."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import aiohttp

from agents.ops.local import deployment as local
from agents.ops.local.processes import Process, Tier, processes
from agents.ops.local.readiness import ReadinessProbe
from tests.e2e.nodes import PORTS, broker, nodes
from tests.e2e.processes import Unit
from tests.e2e.waiting import until
from topics.admin import create
from topics.broker.config import is_free
from topics.broker.process import answers
from topics.kafka.settings import KafkaSettings

BROKER_SECONDS = 240.0  # a machine that others use as well may be slow
SERVES_SECONDS = 240.0
_CALL_SECONDS = 5.0

SESSION_SECONDS = "15"
"""Of workers, and of the only broker with its controller: a machine that stands still for
some seconds costs none that no test wants dead."""

_METRICS_FROM = 8 + 3 * PORTS
_PORTS = _METRICS_FROM + 8  # three workers of orders and of carts, and one of the others
_PORTS_FROM, _PORTS_TO = 20_000, 32_000

_CHOSEN = {"gateways": 2, "loms_workers": 2, "session_timeout_seconds": SESSION_SECONDS}


class Shop:
    """All processes of a shop, by the names that `make ps` shows.

    Args:
        directory: all that it writes.
        brokers: how many nodes of one cluster, `kafka-1` and so on, with side doors;
            none: the one broker that a shop comes with, `kafka`.
        different: what is not as the end-to-end tests have it, as for a local shop.

    Attributes:
        later: processes that only those start who need them.
    """

    later: tuple[str, ...] = ("loms-2",)

    def __init__(self, directory: Path, brokers: int = 0, **different: Any) -> None:
        port = _free_ports()
        self.nodes = nodes(brokers, port + 8)
        self.local = local.Deployment(
            directory=directory,
            kafka=",".join(node.address for node in self.nodes),
            kafka_port=port,
            product_port=port + 2,
            gateway_port=port + 4,
            metrics_port=port + _METRICS_FROM,
            **(_CHOSEN | different),
        )
        self._control_port = port + 3
        self.gateways = [f"http://127.0.0.1:{p}" for p in self.local.gateway_ports]
        self.cluster = KafkaSettings(
            kafka=self.local.bootstrap,
            partitions=self.local.partitions,
            kafka_replication=min(3, brokers) or 1,
        )
        logs = directory / "logs"
        logs.mkdir(parents=True)
        self.units = {
            what.name: Unit(self.adapted(what), logs / f"{what.name}.log")
            for what in self.processes()
        }

    def __getitem__(self, name: str) -> Unit:
        return self.units[name]

    def processes(self) -> list[Process]:
        """What there is to run."""
        directory = self.local.directory
        brokers = (broker(node, self.nodes, directory) for node in self.nodes)
        return [*brokers, *processes(self.local)]

    @property
    def kafka(self) -> str:
        """The brokers' addresses."""
        return self.local.bootstrap

    @property
    def brokers(self) -> list[Unit]:
        """The broker, or all nodes of the cluster."""
        return [unit for unit in self.units.values() if unit.what.tier is Tier.KAFKA]

    @property
    def partitions(self) -> int:
        """How many partitions each request topic has."""
        return self.cluster.partitions

    @property
    def metrics(self) -> dict[str, str]:
        """Where Prometheus finds each process that runs, by name."""
        return {
            name: f"http://127.0.0.1:{port}/metrics"
            for name, unit in self.units.items()
            for variable in ("METRICS_PORT", "GATEWAY_PORT")
            if unit.runs and (port := unit.what.environment.get(variable))
        }

    @property
    def control(self) -> str:
        """Where the stand-in ProductService is told how to behave."""
        return f"http://127.0.0.1:{self._control_port}"

    async def start(self) -> None:
        """Start everything side by side; the workers as soon as there are topics."""
        early = [unit for unit in self.units.values() if _needs_no_topics(unit)]
        for unit in early:
            unit.start()
        await self.broker_answers()
        await self.prepare()
        for unit in self.units.values():
            if unit not in early and unit.name not in self.later:
                unit.start()
        await self.serves()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Self]:
        """Start it; stop it in the end, however far it has come."""
        try:
            await self.start()
            yield self
        finally:
            await self.stop()

    async def prepare(self) -> None:
        """Make the topics."""
        await create(self.cluster)

    async def broker_answers(self) -> None:
        """Wait until the broker serves, or all of them."""
        await until(self._broker_answers, "the broker answers", BROKER_SECONDS)

    async def _broker_answers(self) -> bool:
        # Spares the output a complaint of aiokafka's for each look at a closed port.
        addresses = self.kafka.split(",")
        if not all(map(_listens, addresses)):
            return False
        options = self.cluster.client_options()
        return await answers(**options, brokers=len(addresses))

    async def serves(self) -> None:
        """Wait until each gateway is ready, and the owner of each partition answers."""
        timeout = aiohttp.ClientTimeout(_CALL_SECONDS)
        async with (
            asyncio.timeout(SERVES_SECONDS),
            aiohttp.ClientSession(timeout=timeout) as session,
        ):
            await ReadinessProbe(session, self.gateways).ready(self.partitions)

    def forgive(self) -> None:
        """Let processes have ended that lost something they can't do without."""
        for unit in self.units.values():
            unit.expected = unit.starts

    async def stop(self) -> None:
        """Stop everything, the broker last."""
        others = [unit for unit in self.units.values() if unit not in self.brokers]
        ends = await asyncio.gather(*(u.stop() for u in others), return_exceptions=True)
        if self.nodes:
            # Only a quorum can let a node go: the last ones would wait for it for ever.
            await asyncio.gather(*(u.crash(for_good=True) for u in self.brokers))
        else:
            await self["kafka"].stop()
        assert not any(ends), f"not all ended well: {ends}"

    def adapted(self, what: Process) -> Process:
        """Return a process as it is run here.

        The stand-in has a control port. Gateways are patient: what a slow machine does not
        answer in ten seconds is no fault of the shop's.
        """
        if what.name == "kafka":
            patient = f"--set=broker.session.timeout.ms={SESSION_SECONDS}000"
            return replace(what, command=(*what.command, patient))
        if what.tier is Tier.GATEWAY:
            patient = {"REPLY_TIMEOUT_SECONDS": "60"}
            return replace(what, environment=what.environment | patient)
        if what.name == "product-service":
            port = str(self._control_port)
            return replace(what, command=(*what.command, "--control-port", port))
        return what


def _needs_no_topics(unit: Unit) -> bool:
    return unit.what.tier is not Tier.SERVICE or unit.name == "product-service"


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def _free_ports() -> int:
    """Return the first of some neighbouring ports on which nobody listens."""
    while True:
        first = random.randrange(_PORTS_FROM, _PORTS_TO, _PORTS)
        if all(is_free(port) for port in range(first, first + _PORTS)):
            return first
