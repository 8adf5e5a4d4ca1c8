"""A shop on several machines: network namespaces, with the commands of MACHINES.md."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp

from agents.ops.local.deployment import REPOSITORY
from agents.ops.local.processes import Process
from agents.ops.local.readiness import one_for_each
from tests.e2e.clients import Answer, HttpClient, NoAnswer, ShopClient
from tests.e2e.ids import IdFactory
from tests.e2e.processes import Unit
from tests.e2e.waiting import until
from tests.standins.broker import START_SECONDS, answers
from topics.kafka.settings import KafkaSettings
from topics.topology import SERVICES

PARTITIONS = 8
_NET = "198.51.100"
_RECIPE = (REPOSITORY / "agents" / "ops" / "MACHINES.md").read_text()
_COMMANDS = re.compile(
    r"^## ([^\n]+)\n(?:(?!^## ).)*?^```sh\n(.+?)^```$", re.MULTILINE | re.DOTALL
)
_STAND_IN = "exec python -m agents.ops.product_stand_in"
_ENVIRONMENT = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
_QUERIES = {"stocks": "sku", "listOrder": "orderID", "listCart": "user"}


@dataclass
class Machine:
    """A network namespace with a directory; it shares a network with the others.

    Attributes:
        number: the `N` of the recipe.
        host: the last number of its address.
        units: its processes.
    """

    name: str
    number: int
    host: int
    directory: Path
    commands: dict[str, str]
    units: dict[str, Unit] = field(default_factory=dict)

    def set_up(self) -> None:
        """Create the namespace and the directory."""
        self.directory.mkdir(parents=True)
        (self.directory / "settings").write_text(self.commands["Settings"])
        ip("netns", "add", self.name)
        peer = ("peer", "name", "eth0", "netns", self.name)
        ip("link", "add", self.name, "type", "veth", *peer)
        ip("link", "set", self.name, "master", "network", "up")
        ip("-n", self.name, "address", "add", f"{_NET}.{self.host}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            ip("-n", self.name, "link", "set", device, "up")

    def start(self, name: str, commands: str, **variables: str) -> Unit:
        """Start a process by shell commands that end with `exec`."""
        environment = self._environment() | variables
        process = Process(name, self._inside(commands), environment)
        unit = Unit(process, self.directory / f"{name}.log")
        self.units[name] = unit
        unit.start()
        return unit

    async def run(self, heading: str) -> str:
        """Run the commands below a heading of the recipe; return their output."""
        ran = await asyncio.create_subprocess_exec(
            *self._inside(self.commands[heading]),
            cwd=REPOSITORY,
            env=os.environ | self._environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await ran.communicate()
        assert ran.returncode == 0, f"{heading}: {out.decode()}"
        return out.decode()

    async def kill(self) -> None:
        """Kill all processes at once (kill -9); none is restarted."""
        running = [unit for unit in self.units.values() if unit.runs]
        for unit in self.units.values():
            unit.stop_supervisor()
        await asyncio.gather(*(unit.crash(permanently=True) for unit in running))

    def _environment(self) -> dict[str, str]:
        return _ENVIRONMENT | {"DIR": str(self.directory), "N": str(self.number)}

    def _inside(self, commands: str) -> tuple[str, ...]:
        namespace = f"--net=/run/netns/{self.name}"
        return ("nsenter", namespace, "sh", "-euc", commands)


class LoadBalancer(ShopClient):
    """Sends each request to the next gateway that is ready."""

    def __init__(self, gateways: Iterable[HttpClient]) -> None:
        self._gateways = [*gateways]

    async def ask(self, call: str, body: dict[str, Any], key: str | None = None) -> Answer:
        """Send a request once."""
        for _ in self._gateways:
            gateway = self._gateways.pop(0)
            self._gateways.append(gateway)
            if await _is_ready(gateway):
                return await gateway.ask(call, body, key)
        raise NoAnswer("no gateway is ready")

    async def all_ready(self) -> bool:
        """Return whether all gateways are ready."""
        return all(await asyncio.gather(*map(_is_ready, self._gateways)))

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.gather(*(gateway.close() for gateway in self._gateways))


async def _is_ready(gateway: HttpClient) -> bool:
    try:
        async with gateway.session.get(f"{gateway.url}/readyz") as response:
            return response.ok
    except aiohttp.ClientError:
        return False


class Machines:
    """The machines of the recipe."""

    def __init__(self, directory: Path) -> None:
        commands = dict(_COMMANDS.findall(_RECIPE))

        def machine(name: str, number: int, host: int) -> Machine:
            return Machine(name, number, host, directory / name, commands)

        self.administrator = machine("admin", 0, 100)
        self.brokers = [machine(f"kafka-{n}", n, 10 + n) for n in (1, 2, 3)]
        self.shops = [machine(f"shop-{n}", n, n) for n in (1, 2)]
        self.balancer = LoadBalancer(
            HttpClient(f"http://{_NET}.{shop.host}:8080") for shop in self.shops
        )

    @property
    def cluster(self) -> KafkaSettings:
        """The cluster, as the administrator."""
        users = (self.administrator.directory / "users").read_text()
        return KafkaSettings(
            kafka=",".join(f"{_NET}.{broker.host}:9092" for broker in self.brokers),
            partitions=PARTITIONS,
            kafka_replication=3,
            kafka_security_protocol="SASL_SSL",
            kafka_sasl_username="admin",
            kafka_sasl_password=dict(line.split("=") for line in users.split())["admin"],
            kafka_ssl_cafile=str(self.administrator.directory / "ca.pem"),
        )

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Self]:
        """Start all machines; kill all their processes at the end."""
        try:
            await self._start()
            yield self
        finally:
            for machine in (*self.shops, *self.brokers):
                await machine.kill()
            await self.balancer.close()

    async def ready(self) -> None:
        """Wait until the owner of each partition replies."""
        asks = (
            self.balancer.ask_until_answered(call, IdFactory.key(), **{field: number})
            for call, field in _QUERIES.items()
            for number in one_for_each(PARTITIONS)
        )
        await asyncio.gather(*asks)

    def start_worker(self, shop: Machine, service: str, **variables: str) -> Unit:
        """Start a worker on a machine."""
        name = variables.get("WORKER", f"{service}-{shop.number}")
        return shop.start(name, shop.commands["Workers"], SERVICE=service, **variables)

    async def _start(self) -> None:
        ip("link", "set", "lo", "up")
        ip("link", "add", "network", "type", "bridge")
        ip("address", "add", f"{_NET}.254/24", "dev", "network")
        ip("link", "set", "network", "up")
        for machine in (self.administrator, *self.brokers, *self.shops):
            machine.set_up()
        await self.administrator.run("Certificates and passwords")
        self._distribute()
        for broker in self.brokers:
            broker.start("kafka", broker.commands["Brokers"])
        await until(self._brokers_answer, "the brokers answer", START_SECONDS)
        await self.administrator.run("Permissions and topics")
        for shop in self.shops:
            shop.start("product-service", _STAND_IN)
            for service in SERVICES:
                self.start_worker(shop, service.name)
            shop.start("gateway", shop.commands["Gateways"], REPLY_TIMEOUT_SECONDS="60")
        await until(self.balancer.all_ready, "the gateways are ready", START_SECONDS)
        await self.ready()

    def _distribute(self) -> None:
        """Copy the files, as the recipe says."""
        source = self.administrator.directory
        lines = (source / "users").read_text().splitlines(keepends=True)
        own = [line for line in lines if not line.startswith(("admin=", "topics="))]
        for machine in (*self.brokers, *self.shops):
            shutil.copy(source / "ca.pem", machine.directory)
            is_shop = machine in self.shops
            (machine.directory / "users").write_text("".join(own if is_shop else lines))
        for broker in self.brokers:
            shutil.copy(source / f"{broker.name}.pem", broker.directory)

    async def _brokers_answer(self) -> bool:
        started = all("kafka" in broker.units for broker in self.brokers)
        return started and await answers(**self.cluster.client_options(), brokers=3)


def ip(*words: str) -> None:
    """Run `ip`, which configures the network of this process's namespace."""
    subprocess.run(["ip", *words], check=True)
