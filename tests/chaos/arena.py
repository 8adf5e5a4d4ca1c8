"""A shop to be attacked, with levers on all that it leans on."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from agents.ops.local.processes import Process, Tier
from tests.chaos.clocks import stepped
from tests.chaos.stutter import StutteringDoor
from tests.e2e.doors import Door, HttpDoor
from tests.e2e.kafka import Kafka
from tests.e2e.letters import Letter
from tests.e2e.people import Fresh
from tests.e2e.post import Post
from tests.e2e.processes import Unit
from tests.e2e.products import Products
from tests.e2e.shop import Shop
from tests.e2e.traffic import Goods, stocked
from tests.standins.mail_sink import MailSink
from tests.standins.tunnel import Tunnel

SCARCE_PIECES = 60
SKUS = 4
REMOTE = "loms-2"
"""The worker that reaches the brokers through tunnels, if they have a side door."""

TIME_TO_PAY = "1000000"
"""More than a campaign takes: whoever has not paid knows that his order is still open."""

STEPPED = ("checkout-1", "loms-1", "notifications-1")
"""Workers whose wall clock can be stepped, where there is a library for it."""


class Attacked(Shop):
    """A shop with two or three workers of each service.

    Args:
        directory: all that it writes.
        brokers: as for a shop.
        smtp_port: where notices go.
    """

    later = ("checkout-3", "loms-3")

    def __init__(self, directory: Path, brokers: int, smtp_port: int) -> None:
        self._smtp = f"smtp://127.0.0.1:{smtp_port}"
        workers = {"checkout_workers": 3, "loms_workers": 3}
        super().__init__(directory, brokers, **workers, session_timeout_seconds="")

    def processes(self) -> list[Process]:
        """What there is to run: a twin of each worker that a shop has only one of."""
        return [one for each in super().processes() for one in self._with_twin(each)]

    def workers(self, service: str = "") -> list[Unit]:
        """The workers that run, of a service or of all."""
        return [
            unit
            for unit in self.units.values()
            if unit.name.startswith(service) and "STATE_DIR" in unit.what.environment
            if unit.runs
        ]

    def adapted(self, what: Process) -> Process:
        """Return a process as it is run here: the broker is found dead as in production."""
        return what if what.tier is Tier.KAFKA else super().adapted(what)

    def _with_twin(self, what: Process) -> Iterator[Process]:
        if "STATE_DIR" not in what.environment:
            yield what
            return
        here = self._placed(what)
        yield here
        if here.name in ("products-1", "notifications-1"):
            twin = here.name.replace("-1", "-2")
            own = {"WORKER": twin, "STATE_DIR": here.environment["STATE_DIR"][:-1] + "2"}
            own |= {"METRICS_PORT": "0"}  # the other one has the port
            yield replace(here, name=twin, environment=here.environment | own)

    def _placed(self, what: Process) -> Process:
        """Tell a worker what is different about its place."""
        different = {"SMTP_URL": self._smtp, "PAYMENT_TIMEOUT_SECONDS": TIME_TO_PAY}
        if what.name == REMOTE and self.nodes:
            doors = (f"127.0.0.1:{node.tunnel_port}" for node in self.nodes)
            different["KAFKA"] = ",".join(doors)
        if what.name in STEPPED:
            different |= stepped(self.clock(what.name))
        return replace(what, environment=what.environment | different)

    def clock(self, name: str) -> Path:
        """The file that says how far a worker's clock is off."""
        return self.local.directory / f"{name}.clock"


@dataclass
class Arena:
    """All that a fault may lay hands on, and whoever knows what must come of it.

    Attributes:
        doors: the gateways, and as many times the topics.
        goods: what people buy; nobody else does.
        everybody: all shoppers that there ever were.
        poison: what was sent to be found in the dead letters.
    """

    shop: Attacked
    kafka: Kafka
    doors: list[Door]
    topics: StutteringDoor
    products: Products
    mails: MailSink
    post: Post
    tunnels: list[Tunnel]
    fresh: Fresh
    goods: Goods
    scarce: int
    random: Random = field(default_factory=Random)
    everybody: list = field(default_factory=list)
    poison: list[Letter] = field(default_factory=list)


@asynccontextmanager
async def arena(directory: Path, brokers: int) -> AsyncIterator[Arena]:
    """Open a shop; close it whatever state it is in."""
    async with AsyncExitStack() as stack:
        mails = MailSink()
        await mails.start()
        stack.push_async_callback(mails.stop)
        shop = Attacked(directory, brokers, mails.port)
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
        gateways = [HttpDoor(url) for url in shop.gateways]
        for door in gateways:
            stack.push_async_callback(door.close)
        fresh = Fresh()
        goods, scarce = await _stock(gateways[0], fresh)
        topics = StutteringDoor(kafka)
        yield Arena(
            shop,
            kafka,
            [*gateways, topics, topics],
            topics,
            products,
            mails,
            Post(mails),
            tunnels,
            fresh,
            goods,
            scarce,
        )


async def _dig(stack: AsyncExitStack, port: int, entrance: int) -> Tunnel:
    tunnel = Tunnel(port)
    server = await asyncio.start_server(tunnel.connect, "127.0.0.1", entrance)
    stack.callback(server.close)
    return tunnel


async def _stock(door: Door, fresh: Fresh) -> tuple[Goods, int]:
    goods, scarce = await stocked(door, fresh, SKUS), fresh.sku()
    await door.do("receiveStock", sku=scarce, warehouseID=1, count=SCARCE_PIECES)
    goods.received[scarce] = Counter({1: SCARCE_PIECES})
    return goods, scarce


async def _tear_down(shop: Shop) -> None:
    """Nothing needs to end well that is thrown away."""
    units: Sequence[Unit] = list(shop.units.values())
    for unit in units:
        unit.dismiss_keeper()
    await asyncio.gather(*(unit.crash(for_good=True) for unit in units if unit.runs))
