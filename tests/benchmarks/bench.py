"""A measured shop: each part of a round."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from tests.benchmarks import commands, results, stories
from tests.benchmarks.customers import Customer, Timing, measure
from tests.benchmarks.echo import REQUESTS
from tests.benchmarks.helpers import beside, listens
from tests.benchmarks.http import Client
from tests.benchmarks.load import REPLIES, Command, Replies, preload
from tests.benchmarks.meter import Meter
from tests.benchmarks.requester import Requester, open_requester
from tests.benchmarks.results import Result, Results
from tests.e2e.shop import Shop
from topics.admin import create
from topics.topic import Topic, TopicKind

CLIENTS = 64
PRELOADED = 60_000
CONTENDERS = 500
STOCK = 100

_PRELOADED: dict[str, Command] = {
    results.RECEIVE: commands.receive_stock,
    results.RECEIVE_HOT: commands.receive_hot,
    results.STOCKS: commands.stocks,
}
_STORIES: dict[str, stories.Story] = {
    results.HTTP_STOCKS: stories.stocks,
    results.LIST_CART: stories.list_cart,
    results.STORY: stories.full_story,
    results.ORDER: stories.create_order,
    results.ORDER_10: stories.ten_lines,
    results.ORDER_HOT: stories.create_hot_order,
}


class Bench:
    """Runs the measurements of a round.

    Args:
        shop: one worker of each service, one gateway.
        asker: sends requests over Kafka.
        replies: counts the replies.
        clients: of the gateway.
        seconds: of each measurement without an end of its own.
    """

    def __init__(
        self,
        shop: Shop,
        requester: Requester,
        replies: Replies,
        clients: Sequence[Client],
        seconds: float,
    ) -> None:
        self.results = Results()
        self._shop = shop
        self._requester = requester
        self._replies = replies
        self._clients = clients
        self._seconds = seconds
        self._numbers = itertools.count()
        self._hello_port = shop.local.gateway_ports[0] + 3

    async def preloaded(self) -> None:
        """Measure how fast one process consumes a topic's records."""
        await self._shop["loms-1"].stop()
        await preload(self._shop.kafka, REQUESTS, commands.receive_stock, PRELOADED)
        async with beside("tests.benchmarks.echo", self._shop.kafka):
            await self._rate(results.ECHO)
        for what, command in _PRELOADED.items():
            await preload(self._shop.kafka, "stock.requests", command, PRELOADED)
            self._shop["loms-1"].start()
            await self._rate(what)
            await self._shop["loms-1"].stop()

    async def over_kafka(self) -> None:
        """Measure requests over Kafka with one reply: the floors, and the shop."""
        async with beside("tests.benchmarks.echo", self._shop.kafka) as pid:
            ask = self._requester.customer(REQUESTS, commands.stocks)
            await self._measure(results.ECHO_1, [ask], {"echo": pid})
            await self._measure(results.ECHO_64, [ask] * CLIENTS, {"echo": pid})
        await self._hello()
        await self._alone()
        self._shop["loms-1"].start()
        await self._shop.ready()
        ask = self._requester.customer("stock.requests", commands.stocks)
        await self._measure(results.HOP, [ask], self._pids)
        await self._measure(results.HOP_64, [ask] * CLIENTS, self._pids)

    async def over_http(self) -> None:
        """Measure the calls of 64 HTTP clients."""
        for what, story in _STORIES.items():
            customers = [partial(story, client) for client in self._clients]
            await self._measure(what, customers, self._pids)

    async def contended(self) -> None:
        """Send 500 orders of 100 units at once; exactly 100 orders must get one."""
        port = self._shop.local.gateway_ports[0]
        contenders = [await Client.connect(port) for _ in range(CONTENDERS)]
        counts = await stories.contend(contenders, 3_900_000_001, STOCK)
        print(f"{CONTENDERS} createOrders at once for {STOCK}: {counts}", flush=True)
        assert counts == {"awaiting payment": STOCK, "failed": CONTENDERS - STOCK}
        for client in contenders:
            client.close()

    async def _rate(self, what: str) -> None:
        rate = await self._replies.rate(PRELOADED)
        self.results.add(what, Result(Timing(rate, 0.0, 0.0)))

    async def _hello(self) -> None:
        port = self._hello_port
        async with beside("tests.benchmarks.hello", str(port)) as pid:
            await listens(port)
            connected = [await Client.connect(port) for _ in range(CLIENTS)]
            customers = [partial(stories.stocks, client) for client in connected]
            await self._measure(results.HELLO, customers, {"hello": pid})
            for client in connected:
                client.close()

    async def _alone(self) -> None:
        """Measure a gateway whose requests get replies from an echo."""
        async with beside("tests.benchmarks.echo_replier", self._shop.kafka) as pid:
            await until_answered(self._shop.local.gateway_ports[0])
            customers = [partial(stories.stocks, client) for client in self._clients]
            gateway = self._shop["gateway-1"].pid
            pids = {"gateway-1": gateway, "echo_replier": pid}
            await self._measure(results.ALONE, customers, pids)

    async def _measure(
        self, what: str, customers: Sequence[Customer], pids: dict[str, int]
    ) -> None:
        kafka = self._shop["kafka"].pid
        meter = Meter({**pids, "kafka": kafka, "load": os.getpid()})
        timing = await measure(customers, self._numbers, self._seconds, meter.start)
        self.results.add(what, Result(timing, self._seconds, meter.read()))

    @property
    def _pids(self) -> dict[str, int]:
        units = self._shop.units.values()
        return {unit.name: unit.pid for unit in units if unit.runs}


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


@asynccontextmanager
async def opened(directory: Path, seconds: float) -> AsyncIterator[Bench]:
    """A shop with stock and connected clients."""
    async with AsyncExitStack() as stack:
        shop = Shop(directory, gateways=1, loms_workers=1)
        await stack.enter_async_context(shop.opened())
        ours = [
            Topic(name, TopicKind.REPLIES, "Of a benchmark.")
            for name in (REQUESTS, REPLIES)
        ]
        await create(shop.cluster, ours)
        replies = await Replies.open(shop.kafka)
        stack.push_async_callback(replies.consumer.stop)
        requester = await stack.enter_async_context(open_requester(shop.kafka))
        port = shop.local.gateway_ports[0]
        clients = [await Client.connect(port) for _ in range(CLIENTS)]
        await stories.stock_up(clients)
        yield Bench(shop, requester, replies, clients, seconds)
