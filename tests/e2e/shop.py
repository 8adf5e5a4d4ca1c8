"""A whole shop for tests: real processes with separate ports and directories."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import aiohttp

from agents.ops.local import deployment as local
from agents.ops.local.native import processes
from agents.ops.local.processes import Process, Tier
from agents.ops.local.readiness import one_for_each
from tests.e2e.nodes import PORTS, broker, nodes
from tests.e2e.processes import Unit
from tests.e2e.waiting import until
from tests.standins.broker import answers
from topics.admin import create
from topics.broker.process import is_free
from topics.kafka.settings import KafkaSettings

BROKER_SECONDS = 240.0  # the machine may be slow
SERVES_SECONDS = 240.0
_CALL_SECONDS = 5.0
_RETRY_SECONDS = 0.2
_MAX_CALLS = 16

_QUERIES = {"stocks": "sku", "listOrder": "orderID", "listCart": "user"}
"""Calls that only the owner of a partition answers, each with the field of its key."""

SESSION_SECONDS = "15"
"""The session timeout of workers, and of the single broker: a machine that pauses for some
seconds must not end sessions that a test needs."""

_METRICS_FROM = 8 + 3 * PORTS
_PORTS = (
    _METRICS_FROM + 8
)  # three workers of orders and of carts, and one of each other service
_PORTS_FROM, _PORTS_TO = 20_000, 32_000

CONTROLLED = "tests.standins.product_service"
_CHOSEN = {"gateways": 2, "loms_workers": 2, "session_timeout_seconds": SESSION_SECONDS}


class Shop:
    """All processes of a shop, by the names in the output of `make ps`.

    Args:
        directory: of all its files.
        brokers: the number of nodes of one cluster, `kafka-1` and so on, with tunnels;
            none: the single broker of a local shop, `kafka`.
        different: changed settings of the local deployment.

    Attributes:
        later: processes that tests start themselves.
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
            process.name: Unit(self.adapted(process), logs / f"{process.name}.log")
            for process in self.processes()
        }

    def __getitem__(self, name: str) -> Unit:
        return self.units[name]

    def processes(self) -> list[Process]:
        """Return the processes."""
        directory = self.local.directory
        brokers = (broker(node, self.nodes, directory) for node in self.nodes)
        return [*brokers, *processes(self.local)]

    @property
    def kafka(self) -> str:
        """The brokers' addresses."""
        return self.local.bootstrap

    @property
    def brokers(self) -> list[Unit]:
        """The single broker, or all nodes of the cluster."""
        return [unit for unit in self.units.values() if unit.process.tier is Tier.KAFKA]

    @property
    def partitions(self) -> int:
        """The number of partitions of each request topic."""
        return self.cluster.partitions

    @property
    def metrics(self) -> dict[str, str]:
        """The addresses of the running processes' metrics, by name."""
        return {
            name: f"http://127.0.0.1:{port}/metrics"
            for name, unit in self.units.items()
            for variable in ("METRICS_PORT", "GATEWAY_PORT")
            if unit.runs and (port := unit.process.environment.get(variable))
        }

    @property
    def control(self) -> str:
        """The control port of the stand-in ProductService."""
        return f"http://127.0.0.1:{self._control_port}"

    async def start(self) -> None:
        """Start all processes in parallel; the workers once the topics exist."""
        early = [unit for unit in self.units.values() if _needs_no_topics(unit)]
        for unit in early:
            unit.start()
        await self.broker_answers()
        await self.prepare()
        for unit in self.units.values():
            if unit not in early and unit.name not in self.later:
                unit.start()
        await self.ready()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Self]:
        """Start the shop; stop it at the end, also after a failed start."""
        try:
            await self.start()
            yield self
        finally:
            await self.stop()

    async def prepare(self) -> None:
        """Create the topics."""
        await create(self.cluster)

    async def broker_answers(self) -> None:
        """Wait until all brokers respond."""
        await until(self._broker_answers, "the broker answers", BROKER_SECONDS)

    async def _broker_answers(self) -> bool:
        # aiokafka logs an error for each attempt at a closed port.
        addresses = self.kafka.split(",")
        if not all(map(_listens, addresses)):
            return False
        options = self.cluster.client_options()
        return await answers(**options, brokers=len(addresses))

    async def ready(self) -> None:
        """Wait until each gateway is ready, and the owner of each partition replies."""
        timeout = aiohttp.ClientTimeout(_CALL_SECONDS)
        connector = aiohttp.TCPConnector(limit=_MAX_CALLS)
        async with (
            asyncio.timeout(SERVES_SECONDS),
            aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
        ):
            readiness = (_answered(session, f"{url}/readyz") for url in self.gateways)
            await asyncio.gather(*readiness)
            queries = (
                _answered(session, f"{self.gateways[0]}/{name}", {field: number})
                for name, field in _QUERIES.items()
                for number in one_for_each(self.partitions)
            )
            await asyncio.gather(*queries)

    def accept_ended(self) -> None:
        """Accept that processes have ended."""
        for unit in self.units.values():
            unit.expected = unit.starts

    async def stop(self) -> None:
        """Stop all processes, the brokers last."""
        others = [unit for unit in self.units.values() if unit not in self.brokers]
        ends = await asyncio.gather(*(u.stop() for u in others), return_exceptions=True)
        if self.nodes:
            # Only a quorum can remove a node: the last ones would wait for it without end.
            running = (unit for unit in self.brokers if unit.runs)
            await asyncio.gather(*(unit.crash(permanently=True) for unit in running))
        else:
            await self["kafka"].stop()
        assert not any(ends), f"not all ended well: {ends}"

    def adapted(self, process: Process) -> Process:
        """Return a process with the changes for tests.

        The stand-in has a control port. Gateways get a long reply timeout: a slow machine
        is no fault of the shop.
        """
        if process.name == "kafka":
            patient = f"--set=broker.session.timeout.ms={SESSION_SECONDS}000"
            return replace(process, command=(*process.command, patient))
        if process.tier is Tier.GATEWAY:
            patient = {"REPLY_TIMEOUT_SECONDS": "60"}
            return replace(process, environment=process.environment | patient)
        if process.name == "product-service":
            port = str(self._control_port)
            python, option, _, *arguments = process.command
            command = (python, option, CONTROLLED, *arguments, "--control-port", port)
            return replace(process, command=command)
        return process


async def _answered(
    session: aiohttp.ClientSession, url: str, body: dict[str, int] | None = None
) -> None:
    """Repeat a call until it succeeds, or until the owner has no such order."""
    method = "GET" if body is None else "POST"
    while True:
        with suppress(aiohttp.ClientError, TimeoutError):
            async with session.request(method, url, json=body) as response:
                if response.status in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
                    return
        await asyncio.sleep(_RETRY_SECONDS)


def _needs_no_topics(unit: Unit) -> bool:
    return unit.process.tier is not Tier.SERVICE or unit.name == "product-service"


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def _free_ports() -> int:
    """Return the first of several neighbouring free ports."""
    while True:
        first = random.randrange(_PORTS_FROM, _PORTS_TO, _PORTS)
        if all(is_free(port) for port in range(first, first + _PORTS)):
            return first
