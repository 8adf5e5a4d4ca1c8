"""A client of the stand-in ProductService's control port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp


class Products:
    """Changes the products and the failures of the service.

    Args:
        url: of the control port.
    """

    def __init__(self, url: str) -> None:
        self._session = aiohttp.ClientSession(url, raise_for_status=True)

    async def sell(self, sku: int, name: str, price: int) -> None:
        """Sell a product with this name and price from now on."""
        await self._session.put(f"/products/{sku}", json={"name": name, "price": price})

    async def withdraw(self, sku: int) -> None:
        """Stop selling a product."""
        await self._session.delete(f"/products/{sku}")

    async def calls(self) -> dict[int, int]:
        """Return the number of requests for each sku since `forget_calls`."""
        async with self._session.get("/state") as response:
            state = await response.json()
        return {int(sku): number for sku, number in state["callsBySku"].items()}

    async def forget_calls(self) -> None:
        """Set all counts to zero."""
        await self._session.delete("/calls")

    @asynccontextmanager
    async def slow(self, seconds: float) -> AsyncIterator[None]:
        """Delay each call within this context."""
        await self._session.patch("/state", json={"latencySeconds": seconds})
        yield
        await self._session.patch("/state", json={"latencySeconds": 0})

    async def fail_next(self, number: int) -> None:
        """Fail a number of calls with UNAVAILABLE."""
        await self._session.patch("/state", json={"failNext": number})

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()
