"""A load of shoppers on a shop, during which faults are injected."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.e2e.audit import audit, nothing_is_left_undone
from tests.e2e.clients import ShopClient
from tests.e2e.ids import IdFactory
from tests.e2e.kafka import Kafka
from tests.e2e.shop import Shop
from tests.e2e.traffic import Shopper, ShopperPool, stocked

SHOPPERS = 10
STEPS = 2  # of each shopper, before, between and after the faults


@dataclass
class Load:
    """A shop with shoppers that record the expected results of all their calls."""

    shop: Shop
    kafka: Kafka
    clients: list[ShopClient]
    pool: ShopperPool

    @property
    def shoppers(self) -> list[Shopper]:
        """The shoppers with their expected results."""
        return self.pool.shoppers

    async def during(self, *faults: Callable[[], Awaitable[None]]) -> None:
        """Inject faults while the shoppers work; then check the results of all calls."""
        await self.pool.complete(STEPS)
        for fault in faults:
            await fault()
            await self.pool.complete(STEPS)
        await self.pool.finish()
        await self.shop.ready()
        await audit(self.shoppers, self.kafka, self.clients[0])
        await nothing_is_left_undone(self.kafka)


@asynccontextmanager
async def start_load(
    shop: Shop, kafka: Kafka, clients: list[ShopClient], ids: IdFactory
) -> AsyncIterator[Load]:
    """Start the load; each shopper chooses a client at random for each call."""
    assortment = await stocked(clients[0], ids, 4)
    pool = ShopperPool(
        [
            Shopper(ids.user(), clients, assortment, random.Random(n))
            for n in range(SHOPPERS)
        ]
    )
    yield Load(shop, kafka, clients, pool)
    await pool.finish()
