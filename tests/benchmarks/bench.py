"""A measured shop: each part of a round."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from functools import partial
from pathlib import Path

from agents.ops.local.processes import Process
from tests.benchmarks import commands, echo, results, stories
from tests.benchmarks.helpers import Running, beside, listens, logged
from tests.benchmarks.http import Client, connected
from tests.benchmarks.load import REPLIES, Command
from tests.benchmarks.measurements import Measurements, Pids, start
from tests.benchmarks.preloaded import Replies
from tests.benchmarks.product_service import build, write_products
from tests.benchmarks.requester import Requester, open_requester
from tests.e2e.audit import audit_logs
from tests.e2e.shop import Shop
from topics.admin import create
from topics.broker.java import CannotRunError
from topics.catalog import STOCK_CHANGELOG, STOCK_REQUESTS
from topics.topic import Topic, TopicKind

CLIENTS = 64
CONTENDERS = 500
STOCK = 100
READY = "event=ready"

_PRELOADED: dict[str, tuple[Command, str | None]] = {
    results.RECEIVE: (commands.receive_stock, STOCK_CHANGELOG.name),
    results.RECEIVE_HOT: (commands.receive_hot, None),
    results.STOCKS: (commands.stocks, None),
}
STORIES: dict[str, tuple[stories.Story, int]] = {
    results.HTTP_STOCKS_1: (stories.stocks, 1),
    results.HTTP_STOCKS: (stories.stocks, CLIENTS),
    results.LIST_CART: (stories.list_cart, CLIENTS),
    results.STORY_1: (stories.full_story, 1),
    results.STORY_8: (stories.full_story, 8),
    results.STORY: (stories.full_story, CLIENTS),
    results.ORDER: (stories.create_order, CLIENTS),
    results.ORDER_10: (stories.ten_lines, CLIENTS),
    results.ORDER_HOT: (stories.create_hot_order, CLIENTS),
}
"""The calls over HTTP, and the number of their clients."""


class DefaultShop(Shop):
    """A shop with the processes and settings that `make run-all` starts.

    Args:
        directory: of all its files.
        product_service: the program from `product_service.build`; None: the stand-in.
    """

    later = ()

    def __init__(self, directory: Path, product_service: str | None) -> None:
        self._product_service = product_service
        super().__init__(directory, gateways=1, loms_workers=1, session_timeout_seconds="")

    def adapted(self, process: Process) -> Process:
        """Return the process as it is, unless it is ProductService in another language."""
        if process.name != "product-service" or self._product_service is None:
            return process
        products = self.local.directory / "products.json"
        write_products(products)
        port = str(self.local.product_port)
        return Process(process.name, (self._product_service, port, str(products)))


class Bench:
    """Runs the measurements of a round.

    Args:
        shop: one worker of each service, one gateway.
        requester: sends requests over Kafka.
        measurements: of this run.

    Attributes:
        free_port: for servers that are measured in turn with the shop's gateway.
    """

    def __init__(
        self, shop: Shop, requester: Requester, measurements: Measurements
    ) -> None:
        self._shop = shop
        self._requester = requester
        self._measurements = measurements
        self._worker = shop["loms-1"]
        self._port = shop.local.gateway_ports[0]
        self.free_port = self._port + 3

    async def preloaded(self) -> None:
        """Measure how fast one process consumes a topic's records."""
        await self._worker.stop()
        async with AsyncExitStack() as stack:

            async def start_echo() -> Pids:
                running = await stack.enter_async_context(self._echo())
                await logged(running.log, echo.READY)
                return {"echo": running.pid}

            await self._measurements.preloaded(
                results.ECHO, echo.REQUESTS, commands.receive_stock, start_echo
            )
        for what, (command, changelog) in _PRELOADED.items():
            await self._measurements.preloaded(
                what,
                STOCK_REQUESTS.name,
                command,
                partial(start, self._worker, READY),
                changelog,
            )
            await self._worker.stop()

    async def over_kafka(self) -> None:
        """Measure requests over Kafka with one reply: the floors, and the shop."""
        measure = self._measurements.requests
        async with self._echo() as running:
            ask = self._requester.customer(echo.REQUESTS, commands.stocks)
            pids: Pids = {"echo": running.pid}
            await measure(results.ECHO_1, [ask], pids)
            await measure(results.ECHO_64, [ask] * CLIENTS, pids)
        await self._hello()
        await self._alone()
        self._worker.start()
        await self._shop.ready()
        ask = self._requester.customer(STOCK_REQUESTS.name, commands.stocks)
        await measure(results.HOP, [ask], self._pids)
        await measure(results.HOP_64, [ask] * CLIENTS, self._pids)

    async def over_http(self) -> None:
        """Measure the calls of HTTP clients."""
        await self._measurements.first_calls(
            results.HTTP_STOCKS_IDLE, stories.stocks, self._port, self._pids
        )
        for what, (story, clients) in STORIES.items():
            await self._measurements.calls(what, story, self._port, clients, self._pids)

    async def contended(self) -> None:
        """Send 500 orders of 100 units at once; exactly 100 orders must get one."""
        async with connected([self._port] * CONTENDERS) as contenders:
            counts = await stories.contend(contenders, 3_900_000_001, STOCK)
        print(f"{CONTENDERS} createOrders at once for {STOCK}: {counts}", flush=True)
        assert counts == {"awaiting payment": STOCK, "failed": CONTENDERS - STOCK}

    async def audit(self) -> None:
        """Audit the shop, which must be clean."""
        print(f"audit: {await audit_logs(self._shop)}", flush=True)

    @asynccontextmanager
    async def stopped(self) -> AsyncIterator[None]:
        """Run no process but the broker within this context."""
        units = [unit for unit in self._shop.units.values() if unit.name != "kafka"]
        await asyncio.gather(*(unit.stop() for unit in units))
        yield
        for unit in units:
            unit.start()
        await self._shop.ready()

    async def _hello(self) -> None:
        port = self.free_port
        async with beside("tests.benchmarks.hello", str(port)) as running:
            await listens(port)
            await self._measurements.calls(
                results.HELLO, stories.stocks, port, CLIENTS, {"hello": running.pid}
            )

    async def _alone(self) -> None:
        """Measure a gateway whose requests get replies from an echo."""
        async with beside("tests.benchmarks.echo_replier", self._shop.kafka) as running:
            await until_answered(self._port)
            pids = {"gateway-1": self._shop["gateway-1"].pid, "echo_replier": running.pid}
            await self._measurements.calls(
                results.ALONE, stories.stocks, self._port, CLIENTS, pids
            )

    @property
    def _pids(self) -> dict[str, int]:
        units = self._shop.units.values()
        return {unit.name: unit.pid for unit in units if unit.runs}

    def _echo(self) -> AbstractAsyncContextManager[Running]:
        return beside("tests.benchmarks.echo", self._shop.kafka)


async def until_answered(port: int) -> None:
    """Send requests until one is answered; earlier ones are lost."""
    answered = False
    while not answered:
        client = await Client.connect(port)
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await stories.stocks(client, 0)
                answered = True
        client.close()


def _product_service() -> str | None:
    try:
        return build()
    except CannotRunError as reason:
        print(f"bench: {reason}: listCart is measured with the stand-in, which slows it")
        return None


@asynccontextmanager
async def opened(
    directory: Path, seconds: float, records: int
) -> AsyncIterator[tuple[Bench, Measurements]]:
    """A shop with stock, and the measurements on its broker."""
    async with AsyncExitStack() as stack:
        shop = DefaultShop(directory, _product_service())
        await stack.enter_async_context(shop.opened())
        ours = [
            Topic(name, TopicKind.REPLIES, "Of a benchmark.")
            for name in (echo.REQUESTS, REPLIES)
        ]
        await create(shop.cluster, ours)
        replies = await Replies.open(shop.kafka)
        stack.push_async_callback(replies.consumer.stop)
        requester = await stack.enter_async_context(open_requester(shop.kafka))
        async with connected([shop.local.gateway_ports[0]] * CLIENTS) as clients:
            await stories.stock_up(clients)
        measurements = Measurements(shop.cluster, shop["kafka"], replies, seconds, records)
        yield Bench(shop, requester, measurements), measurements
