"""Twenty kills of each kind, in one shop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from agents.ops.local.readiness import one_for_each
from tests.benchmarks.recovery.counter import one_gateway
from tests.benchmarks.recovery.outage import Outage, Query, outage, owned
from tests.e2e.clients import HttpClient
from tests.e2e.processes import Unit
from tests.e2e.shop import Shop
from tests.e2e.waiting import until

# A process that ends earlier is restarted after a pause, by supervisord and by the tests.
GROWN_UP_SECONDS = 3.2

_SHARE_SECONDS = 120.0


class Kills:
    """Faults of a shop, and the outage that each causes."""

    def __init__(self, shop: Shop, client: HttpClient) -> None:
        self._shop = shop
        self._client = client
        self._stocks = Query("stocks", "sku", shop.partitions)
        self._carts = Query("listCart", "user", shop.partitions)

    async def killed_and_back(self, number: int) -> Outage:
        """kill -9 of a worker of LOMS, which its supervisor restarts."""
        victim = self._shop["loms-1"]
        return await self._of(victim.crash, self._stocks, victim, victim, number)

    async def checkout_killed_and_back(self, number: int) -> Outage:
        """kill -9 of the only worker of checkout."""
        victim = self._shop["checkout-1"]
        return await self._of(victim.crash, self._carts, victim, victim, number)

    async def stopped_and_back(self, number: int) -> Outage:
        """SIGTERM of a worker of LOMS, and a start as soon as it has ended."""
        victim = self._shop["loms-1"]
        return await self._of(victim.restart, self._stocks, victim, victim, number)

    async def killed_for_good(self, number: int) -> Outage:
        """kill -9 of a worker that stays down until the other one serves all partitions."""
        victim, successor = self._shop["loms-1"], self._shop["loms-2"]

        async def kill() -> None:
            await victim.crash(permanently=True)

        cost = await self._of(kill, self._stocks, victim, successor, number)
        await self._serves()
        victim.start()
        return cost

    async def _of(
        self,
        fault: Callable[[], Awaitable[None]],
        query: Query,
        victim: Unit,
        successor: Unit,
        number: int,
    ) -> Outage:
        await self._shared()
        numbers = owned(victim)
        body = query.body(numbers[number % len(numbers)])
        await self._client.ask_until_answered(query.call, "before", **body)
        return await outage(fault, self._client, (query.call, body), successor)

    async def _shared(self) -> None:
        """Wait until both workers have half of the partitions, and have run for a while."""
        workers = [self._shop["loms-1"], self._shop["loms-2"]]
        half = self._shop.partitions // 2

        def shared() -> bool:
            return all(len(owned(worker)) == half for worker in workers)

        await asyncio.sleep(GROWN_UP_SECONDS)
        await until(shared, "both workers have their halves", _SHARE_SECONDS)
        await self._serves()

    async def _serves(self) -> None:
        """Wait until the owner of each partition of stock answers."""
        for sku in one_for_each(self._shop.partitions):
            await self._client.ask_until_answered("stocks", f"serves-{sku}", sku=sku)


@asynccontextmanager
async def kills(directory: Path) -> AsyncIterator[Kills]:
    """A shop with two workers of LOMS and one of checkout."""
    async with one_gateway(directory) as (shop, client):
        for name in ("loms-1", "loms-2", "checkout-1"):
            shop[name].start()
        yield Kills(shop, client)
