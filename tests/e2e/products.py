"""The stand-in ProductService, as whoever runs it may change it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp


class Products:
    """Its control port.

    Args:
        url: of the port.
    """

    def __init__(self, url: str) -> None:
        self._session = aiohttp.ClientSession(url, raise_for_status=True)

    async def sell(self, sku: int, name: str, price: int) -> None:
        """Sell something under this name and price from now on."""
        await self._session.put(f"/products/{sku}", json={"name": name, "price": price})

    async def withdraw(self, sku: int) -> None:
        """Sell it no longer."""
        await self._session.delete(f"/products/{sku}")

    async def calls(self) -> dict[int, int]:
        """How often each sku was asked for since `forget_calls`."""
        async with self._session.get("/state") as response:
            state = await response.json()
        return {int(sku): number for sku, number in state["callsBySku"].items()}

    async def forget_calls(self) -> None:
        """Count from zero."""
        await self._session.delete("/calls")

    @asynccontextmanager
    async def slow(self, seconds: float) -> AsyncIterator[None]:
        """Take so long for each call."""
        await self._session.patch("/state", json={"latencySeconds": seconds})
        yield
        await self._session.patch("/state", json={"latencySeconds": 0})

    async def fail_next(self, number: int) -> None:
        """Fail so many calls with UNAVAILABLE."""
        await self._session.patch("/state", json={"failNext": number})

    async def close(self) -> None:
        """Leave."""
        await self._session.close()
