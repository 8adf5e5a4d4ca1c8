"""A shop under a steady load: the memory of its processes over time, and its disk.

    python -m tests.benchmarks.soak [--minutes 10] [--rate 20 | --clients 64]
        [--checkpoint 5] [--brief] [--plots DIR]

Memory that grows by the minute under a constant load is a leak. With `--clients` the load
is all that the shop carries: each client begins a story when its last one has ended. With
`--checkpoint MINUTES` the shop is audited that often, from its last checkpoint, and older
requests are deleted: the disk levels off. `--brief` lets Kafka delete and compact within
minutes instead of days.
"""

import argparse
import asyncio
import json
import tempfile
import time
from itertools import count
from pathlib import Path

from tests.benchmarks.curves import draw
from tests.benchmarks.disk import BriefShop, Checkpoints, Disk
from tests.benchmarks.meter import rss_bytes
from tests.e2e.clients import HttpClient
from tests.e2e.ids import IdFactory
from tests.e2e.processes import Unit
from tests.e2e.shop import Shop
from tests.e2e.steps import receive

MINUTE_SECONDS = 60.0
STOCK = 2**40
PLOTTED_POINTS = 40
_FIRST_USER = 1_000_000_001


class Soak:
    """Customers that arrive at a steady rate, each with one story.

    Args:
        client: the client of all of them.
        rate: stories begun per second.
        clients: instead of a rate, how many stories there are at any moment; 0: a rate.
        checkpoints: of the shop, written and used every so many minutes; 0: never.

    Attributes:
        seconds: the durations of the stories that have ended.
    """

    def __init__(
        self,
        client: HttpClient,
        rate: float,
        clients: int,
        checkpoints: Checkpoints,
        every: int,
    ) -> None:
        self._client = client
        self._rate = rate
        self._clients = clients
        self._checkpoints = checkpoints
        self._every = every
        self._users = count(_FIRST_USER)
        self._product, _ = IdFactory().product()
        self.seconds: list[float] = []

    async def run(self, minutes: int, shop: Shop) -> list[dict[str, int]]:
        """Run the load; return each process' memory at the end of each minute, in MB."""
        await receive(self._client, self._product, STOCK)
        memory = []
        for minute in range(minutes):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._minute())
                if self._every and minute and minute % self._every == 0:
                    tasks.create_task(self._checkpoint())
            memory.append({unit.name: rss_bytes(unit.pid) >> 20 for unit in running(shop)})
            self._print(minute + 1, memory[-1])
        return memory

    async def _minute(self) -> None:
        self.seconds.clear()
        ends = time.monotonic() + MINUTE_SECONDS
        async with asyncio.TaskGroup() as shoppers:
            for _ in range(self._clients):
                shoppers.create_task(self._stories(ends))
            while time.monotonic() < ends and not self._clients:
                shoppers.create_task(self._story(next(self._users)))
                await asyncio.sleep(1 / self._rate)

    async def _checkpoint(self) -> None:
        print(await self._checkpoints.advance(), flush=True)

    async def _stories(self, ends: float) -> None:
        while time.monotonic() < ends:
            await self._story(next(self._users))

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
    parser.add_argument("--clients", type=int, default=0)
    parser.add_argument("--checkpoint", type=int, default=0, metavar="MINUTES")
    parser.add_argument("--brief", action="store_true")
    parser.add_argument("--plots", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        shop = (BriefShop if args.brief else Shop)(Path(directory) / "shop")
        client = HttpClient(shop.gateways[0])
        checkpoints = Checkpoints(shop, Path(directory) / "checkpoints")
        soak = Soak(client, args.rate, args.clients, checkpoints, args.checkpoint)
        try:
            await shop.start()
            disk = Disk(shop)
            curve = asyncio.create_task(disk.run())
            memory = await soak.run(args.minutes, shop)
            curve.cancel()
            if args.checkpoint:
                print(await checkpoints.advance())
        finally:
            await client.close()
            await shop.stop()
    grown = {name: memory[-1][name] - memory[0][name] for name in memory[0]}
    load = {"rate": args.rate} if not args.clients else {"clients": args.clients}
    result = {"soak": args.minutes, **load, "grown_mb": grown}
    print(json.dumps(result | {"disk_mb": disk.curve}))
    if args.plots is not None:
        draw("disk", disk.curve[:: max(1, len(disk.curve) // PLOTTED_POINTS)], args.plots)


if __name__ == "__main__":
    asyncio.run(main())
