"""A shop under a small, steady load: the memory of its processes over time.

    python -m tests.benchmarks.soak [--minutes 10] [--rate 20]

Memory that grows by the minute under a constant load is a leak.
"""

import argparse
import asyncio
import json
import tempfile
import time
from itertools import count
from pathlib import Path

from tests.benchmarks.meter import rss_bytes
from tests.e2e.clients import HttpClient
from tests.e2e.ids import IdFactory
from tests.e2e.processes import Unit
from tests.e2e.shop import Shop
from tests.e2e.steps import receive

MINUTE_SECONDS = 60.0
STOCK = 2**40
_FIRST_USER = 1_000_000_001


class Soak:
    """Customers that arrive at a steady rate, each with one story.

    Args:
        client: the client of all of them.
        rate: stories begun per second.

    Attributes:
        seconds: the durations of the stories that have ended.
    """

    def __init__(self, client: HttpClient, rate: float) -> None:
        self._client = client
        self._rate = rate
        self._users = count(_FIRST_USER)
        self._product, _ = IdFactory().product()
        self.seconds: list[float] = []

    async def run(self, minutes: int, shop: Shop) -> list[dict[str, int]]:
        """Run the load; return each process' memory at the end of each minute, in MB."""
        await receive(self._client, self._product, STOCK)
        memory = []
        for minute in range(minutes):
            await self._minute()
            memory.append({unit.name: rss_bytes(unit.pid) >> 20 for unit in running(shop)})
            self._print(minute + 1, memory[-1])
        return memory

    async def _minute(self) -> None:
        self.seconds.clear()
        ends = time.monotonic() + MINUTE_SECONDS
        async with asyncio.TaskGroup() as shoppers:
            while time.monotonic() < ends:
                shoppers.create_task(self._story(next(self._users)))
                await asyncio.sleep(1 / self._rate)

    async def _story(self, user: int) -> None:
        began = time.monotonic()
        await self._client.do("addToCart", user=user, sku=self._product, count=1)
        await self._client.do("listCart", user=user)
        order = (await self._client.do("purchase", user=user))["orderID"]
        await self._client.do("orderPayed", orderID=order)
        self.seconds.append(time.monotonic() - began)

    def _print(self, minute: int, memory: dict[str, int]) -> None:
        p99 = sorted(self.seconds)[len(self.seconds) * 99 // 100]
        taken = "  ".join(f"{name} {megabytes}" for name, megabytes in memory.items())
        stories = f"{len(self.seconds)} stories, p99 {p99 * 1000:.0f} ms"
        print(f"minute {minute}: {stories}; MB: {taken}", flush=True)


def running(shop: Shop) -> list[Unit]:
    """Return the processes that run now."""
    return [unit for unit in shop.units.values() if unit.runs]


async def main() -> None:
    """Run the load, print a line each minute, and a JSON line at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--rate", type=float, default=20.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        shop = Shop(Path(directory) / "shop")
        client = HttpClient(shop.gateways[0])
        try:
            await shop.start()
            memory = await Soak(client, args.rate).run(args.minutes, shop)
        finally:
            await client.close()
            await shop.stop()
    grown = {name: memory[-1][name] - memory[0][name] for name in memory[0]}
    print(json.dumps({"soak": args.minutes, "rate": args.rate, "grown_mb": grown}))


if __name__ == "__main__":
    asyncio.run(main())
