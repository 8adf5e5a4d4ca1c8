"""A load of shoppers on a shop, during which faults are injected."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.e2e.audit import audit, nothing_is_left_undone
from tests.e2e.doors import Door
from tests.e2e.kafka import Kafka
from tests.e2e.people import Fresh
from tests.e2e.shop import Shop
from tests.e2e.traffic import Crowd, Shopper, stocked

SHOPPERS = 10
STEPS = 2  # of each shopper, before, between and after the faults


@dataclass
class Storm:
    """A shop with shoppers that record the expected results of all their calls."""

    shop: Shop
    kafka: Kafka
    doors: list[Door]
    crowd: Crowd

    @property
    def shoppers(self) -> list[Shopper]:
        """The shoppers with their expected results."""
        return self.crowd.shoppers

    async def over(self, *blows: Callable[[], Awaitable[None]]) -> None:
        """Inject faults while the shoppers work; then check the results of all calls."""
        await self.crowd.makes(STEPS)
        for blow in blows:
            await blow()
            await self.crowd.makes(STEPS)
        await self.crowd.goes_home()
        await self.shop.serves()
        await audit(self.shoppers, self.kafka, self.doors[0])
        await nothing_is_left_undone(self.kafka)


@asynccontextmanager
async def storm(
    shop: Shop, kafka: Kafka, doors: list[Door], fresh: Fresh
) -> AsyncIterator[Storm]:
    """Start the load; each shopper chooses a client at random for each call."""
    goods = await stocked(doors[0], fresh, 4)
    crowd = Crowd(
        [Shopper(fresh.user(), doors, goods, random.Random(n)) for n in range(SHOPPERS)]
    )
    yield Storm(shop, kafka, doors, crowd)
    await crowd.goes_home()
