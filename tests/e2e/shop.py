"""A whole shop of the tests' own: real processes on ports and in directories of its own."""

import asyncio
import random
import socket
from dataclasses import replace
from pathlib import Path

import aiohttp

from agents.local import shop as local
from agents.local.opening import Shopfront
from agents.local.processes import Process, processes
from tests.e2e.processes import Unit
from tests.e2e.waiting import until
from topics.admin import create
from topics.broker.embedded import answers
from topics.broker.launch import is_free
from topics.cluster import Cluster

BROKER_SECONDS = 90.0  # the first start of all may have to fetch the jars
SERVES_SECONDS = 60.0
_CALL_SECONDS = 5.0

_PORTS = 8
_PORTS_FROM, _PORTS_TO = 20_000, 32_000

_EARLY = ("kafka", "product-service", "gateway-1", "gateway-2")
_LATER = ("loms-2",)  # by the tests that need it


class Shop:
    """All processes of a shop, by the names that `make ps` shows."""

    def __init__(self, directory: Path) -> None:
        port = _free_ports()
        self.local = local.Shop(
            directory=directory,
            kafka_port=port,
            product_port=port + 2,
            gateway_port=port + 4,
            gateways=2,
            loms_workers=2,
        )
        self._control_port = port + 3
        self.gateways = [f"http://127.0.0.1:{p}" for p in self.local.gateway_ports]
        self.cluster = Cluster(kafka=self.local.bootstrap, partitions=self.local.partitions)
        logs = directory / "logs"
        logs.mkdir(parents=True)
        self.units = {
            what.name: Unit(self._adapted(what), logs / f"{what.name}.log")
            for what in processes(self.local)
        }

    def __getitem__(self, name: str) -> Unit:
        return self.units[name]

    @property
    def kafka(self) -> str:
        """The broker's address."""
        return self.local.bootstrap

    @property
    def partitions(self) -> int:
        """How many partitions each request topic has."""
        return self.cluster.partitions

    @property
    def control(self) -> str:
        """Where the stand-in ProductService is told how to behave."""
        return f"http://127.0.0.1:{self._control_port}"

    async def start(self) -> None:
        """Start everything side by side; the workers as soon as there are topics."""
        for name in _EARLY:
            self[name].start()
        await self.broker_answers()
        await create(self.cluster)
        for name in self.units.keys() - {*_EARLY, *_LATER}:
            self[name].start()
        await self.serves()

    async def broker_answers(self) -> None:
        """Wait until the broker serves."""
        await until(self._broker_answers, "the broker answers", BROKER_SECONDS)

    async def _broker_answers(self) -> bool:
        # Spares the output a complaint of aiokafka's for each look at a closed port.
        with socket.socket() as probe:
            listens = probe.connect_ex(("127.0.0.1", self.local.kafka_port)) == 0
        return listens and await answers(self.kafka)

    async def serves(self) -> None:
        """Wait until each gateway is ready, and the owner of each partition answers."""
        timeout = aiohttp.ClientTimeout(_CALL_SECONDS)
        async with (
            asyncio.timeout(SERVES_SECONDS),
            aiohttp.ClientSession(timeout=timeout) as session,
        ):
            await Shopfront(session, self.gateways).serves(self.partitions)

    def forgive(self) -> None:
        """Let processes have ended that lost something they can't do without."""
        for unit in self.units.values():
            unit.expected = unit.starts

    async def stop(self) -> None:
        """Stop everything, the broker last."""
        others = [unit for unit in self.units.values() if unit.name != "kafka"]
        ends = await asyncio.gather(*(u.stop() for u in others), return_exceptions=True)
        await self["kafka"].stop()
        assert not any(ends), f"not all ended well: {ends}"

    def _adapted(self, what: Process) -> Process:
        """Give the stand-in its control port."""
        if what.name != "product-service":
            return what
        port = str(self._control_port)
        return replace(what, command=(*what.command, "--control-port", port))


def _free_ports() -> int:
    """Return the first of some neighbouring ports on which nobody listens."""
    while True:
        first = random.randrange(_PORTS_FROM, _PORTS_TO, _PORTS)
        if all(is_free(port) for port in range(first, first + _PORTS)):
            return first
