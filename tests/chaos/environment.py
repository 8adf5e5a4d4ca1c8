"""A shop under test, with control of all its dependencies."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from agents.ops.local.processes import Process, Tier
from tests.chaos.clocks import stepped
from tests.chaos.duplicating_client import DuplicatingClient
from tests.e2e.clients import HttpClient, ShopClient
from tests.e2e.ids import IdFactory
from tests.e2e.kafka import Kafka
from tests.e2e.mailbox import Mailbox
from tests.e2e.processes import Unit
from tests.e2e.products import Products
from tests.e2e.records import Record
from tests.e2e.shop import Shop
from tests.e2e.traffic import Assortment, stocked
from tests.standins.mail_sink import MailSink
from tests.standins.tunnel import Tunnel

SCARCE_UNITS = 60
SKUS = 4
REMOTE = "loms-2"
"""The worker that reaches the brokers through tunnels, if there are any."""

TIME_TO_PAY = "1000000"
"""Longer than a campaign: no order of the shoppers runs out of time."""

STEPPED = ("checkout-1", "loms-1", "notifications-1")
"""Workers whose wall clock can be stepped, if the library is installed."""


class ShopUnderTest(Shop):
    """A shop with two or three workers of each service.

    Args:
        directory: of all its files.
        brokers: see `Shop`.
        standbys: of each partition.
        smtp_port: of the mail server that receives notifications.
    """

    later = ("checkout-3", "loms-3")

    def __init__(
        self, directory: Path, brokers: int, standbys: int, smtp_port: int
    ) -> None:
        self._different = {
            "SMTP_URL": f"smtp://127.0.0.1:{smtp_port}",
            "PAYMENT_TIMEOUT_SECONDS": TIME_TO_PAY,
            "STANDBY_REPLICAS": str(standbys),
        }
        workers = {"checkout_workers": 3, "loms_workers": 3}
        super().__init__(directory, brokers, **workers, session_timeout_seconds="")

    def processes(self) -> list[Process]:
        """Return the processes: at least two workers of each service."""
        return [one for each in super().processes() for one in self._with_twin(each)]

    def workers(self, service: str = "") -> list[Unit]:
        """Return the running workers of a service, or of all."""
        return [
            unit
            for unit in self.units.values()
            if unit.name.startswith(service) and "STATE_DIR" in unit.process.environment
            if unit.runs
        ]

    def adapted(self, process: Process) -> Process:
        """Return a process with the changes for tests, but Kafka as in production."""
        return process if process.tier is Tier.KAFKA else super().adapted(process)

    def _with_twin(self, process: Process) -> Iterator[Process]:
        if "STATE_DIR" not in process.environment:
            yield process
            return
        here = self._placed(process)
        yield here
        if here.name in ("products-1", "notifications-1"):
            twin = here.name.replace("-1", "-2")
            own = {"WORKER": twin, "STATE_DIR": here.environment["STATE_DIR"][:-1] + "2"}
            own |= {"METRICS_PORT": "0"}  # the other one has the port
            yield replace(here, name=twin, environment=here.environment | own)

    def _placed(self, process: Process) -> Process:
        """Return a worker with its environment in this shop."""
        different = dict(self._different)
        if process.name == REMOTE and self.nodes:
            clients = (f"127.0.0.1:{node.tunnel_port}" for node in self.nodes)
            different["KAFKA"] = ",".join(clients)
        if process.name in STEPPED:
            different |= stepped(self.clock(process.name))
        return replace(process, environment=process.environment | different)

    def clock(self, name: str) -> Path:
        """Return the file with the offset of a worker's clock."""
        return self.local.directory / f"{name}.clock"


@dataclass
class Environment:
    """The shop and its dependencies, as faults change them, with the expected results.

    Attributes:
        clients: the gateways' clients, and as many of the topics.
        assortment: the products that shoppers buy.
        all_shoppers: the shoppers of all rounds.
        poison: the invalid records that were sent, for the dead letters.
    """

    shop: ShopUnderTest
    kafka: Kafka
    clients: list[ShopClient]
    topics: DuplicatingClient
    products: Products
    mails: MailSink
    mailbox: Mailbox
    tunnels: list[Tunnel]
    ids: IdFactory
    assortment: Assortment
    scarce: int
    random: Random = field(default_factory=Random)
    all_shoppers: list = field(default_factory=list)
    poison: list[Record] = field(default_factory=list)


@asynccontextmanager
async def open_environment(
    directory: Path, brokers: int, standbys: int
) -> AsyncIterator[Environment]:
    """Start a shop; stop it at the end, whatever its state."""
    async with AsyncExitStack() as stack:
        mails = MailSink()
        await mails.start()
        stack.push_async_callback(mails.stop)
        shop = ShopUnderTest(directory, brokers, standbys, mails.port)
        tunnels = [
            await _dig(stack, node.side_port, node.tunnel_port) for node in shop.nodes
        ]
        stack.push_async_callback(_tear_down, shop)
        await shop.start()
        kafka = Kafka(shop.cluster)
        await kafka.start()
        stack.push_async_callback(kafka.stop)
        products = Products(shop.control)
        stack.push_async_callback(products.close)
        gateways = [HttpClient(url) for url in shop.gateways]
        for client in gateways:
            stack.push_async_callback(client.close)
        ids = IdFactory()
        assortment, scarce = await _stock(gateways[0], ids)
        topics = DuplicatingClient(kafka)
        yield Environment(
            shop,
            kafka,
            [*gateways, topics, topics],
            topics,
            products,
            mails,
            Mailbox(mails),
            tunnels,
            ids,
            assortment,
            scarce,
        )


async def _dig(stack: AsyncExitStack, port: int, entrance: int) -> Tunnel:
    tunnel = Tunnel(port)
    server = await asyncio.start_server(tunnel.connect, "127.0.0.1", entrance)
    stack.callback(server.close)
    return tunnel


async def _stock(client: ShopClient, ids: IdFactory) -> tuple[Assortment, int]:
    assortment, scarce = await stocked(client, ids, SKUS), ids.sku()
    await client.do("receiveStock", sku=scarce, warehouseID=1, count=SCARCE_UNITS)
    assortment.received[scarce] = Counter({1: SCARCE_UNITS})
    return assortment, scarce


async def _tear_down(shop: Shop) -> None:
    """End all processes; their exit codes do not matter."""
    units: Sequence[Unit] = list(shop.units.values())
    for unit in units:
        unit.stop_supervisor()
    await asyncio.gather(*(unit.crash(permanently=True) for unit in units if unit.runs))
