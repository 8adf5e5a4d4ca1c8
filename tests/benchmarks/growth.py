"""How cost grows: with load, lines, workers, gateways, partitions, telemetry, and state.

    python -m tests.benchmarks.growth [PART ...] [--seconds 5] [--plots DIR]

Each part prints a JSON line for each point.
"""

import argparse
import itertools
import json
import math
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from agents.ops.local.processes import Process
from tests.benchmarks import stories
from tests.benchmarks.collector import endpoint
from tests.benchmarks.curves import PLOTS, draw
from tests.benchmarks.customers import Timing, measure
from tests.benchmarks.deadlines import lateness
from tests.benchmarks.footprint import footprints
from tests.benchmarks.http import Client, connected
from tests.benchmarks.meter import rss_bytes
from tests.benchmarks.recovery.counter import one_gateway, put
from tests.benchmarks.recovery.rebuild import fill, last_recovery
from tests.e2e.shop import Shop

CLIENTS = 64
UNPAID = 100_000
ORDERS_PER_SECOND = 1_500
Point = dict[str, Any]


class LoadGenerator:
    """Clients of a shop.

    Args:
        shop: is started.
        ports: of its gateways, between which the clients are divided.
        seconds: of each measurement.
    """

    _numbers = itertools.count()

    def __init__(self, shop: Shop, ports: Sequence[int], seconds: float) -> None:
        self.shop = shop
        self._ports = ports
        self._seconds = seconds

    async def run(self, story: stories.Story, clients: int = CLIENTS) -> Timing:
        """Measure a number of clients that repeat a story."""
        async with self.clients(clients) as open_clients:
            customers = [partial(story, client) for client in open_clients]
            return await measure(customers, self._numbers, self._seconds)

    def clients(self, number: int) -> AbstractAsyncContextManager[list[Client]]:
        """Connect a number of clients; close them at the end of the context."""
        return connected(itertools.islice(itertools.cycle(self._ports), number))


class FullShop(Shop):
    """A shop whose processes all run from the start."""

    later = ()


@asynccontextmanager
async def load_generator(
    seconds: float, kind: Callable[..., Shop] = FullShop, **different: Any
) -> AsyncIterator[LoadGenerator]:
    """A shop with stock; by default with one process of each kind."""
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        counts = {"gateways": 1, "loms_workers": 1, "checkout_workers": 1} | different
        shop = kind(Path(directory) / "shop", **counts)
        await stack.enter_async_context(shop.opened())
        customers = LoadGenerator(shop, shop.local.gateway_ports, seconds)
        async with customers.clients(CLIENTS) as clients:
            await stories.stock_up(clients)
        yield customers


async def load(seconds: float) -> list[Point]:
    """Full stories, by the number of clients."""
    async with load_generator(seconds) as customers:
        return [
            {"clients": n, **asdict(await customers.run(stories.full_story, n))}
            for n in (1, 4, 16, 64, 128, 256)
        ]


async def lines(seconds: float) -> list[Point]:
    """createOrder, by the number of lines."""
    points = []
    async with load_generator(seconds) as customers:
        for number in (1, 10, 100):
            story = partial(stories.create_order, lines=number)
            timing = await customers.run(story, 8)
            points.append({"lines": number, **asdict(timing)})
    return points


async def workers(seconds: float) -> list[Point]:
    """Full stories, by the number of workers of LOMS and of checkout."""
    return [
        {"workers": n, **await _stories(seconds, loms_workers=n, checkout_workers=n)}
        for n in (1, 2, 3)
    ]


async def gateways(seconds: float) -> list[Point]:
    """Full stories through one gateway, and through two."""
    return [{"gateways": n, **await _stories(seconds, gateways=n)} for n in (1, 2)]


async def partitions(seconds: float) -> list[Point]:
    """Full stories, by the number of partitions."""
    return [{"partitions": n, **await _stories(seconds, partitions=n)} for n in (1, 8, 64)]


async def telemetry(seconds: float) -> list[Point]:
    """Full stories without traces, with all traces, and with one in a hundred."""
    async with endpoint() as collector:
        sampled = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector}
        few = traced | sampled | {"OTEL_TRACES_SAMPLER_ARG": "0.01"}
        return [
            {"traces": name, **await _stories(seconds, partial(_Traced, environment))}
            for name, environment in (("none", {}), ("all", traced), ("1 %", few))
        ]


class _Traced(FullShop):
    """A shop whose processes have more environment variables."""

    def __init__(
        self, environment: Mapping[str, str], directory: Path, **counts: Any
    ) -> None:
        self._added = dict(environment)
        super().__init__(directory, **counts)

    def adapted(self, process: Process) -> Process:
        adapted = super().adapted(process)
        return replace(adapted, environment=adapted.environment | self._added)


async def _stories(
    seconds: float, kind: Callable[..., Shop] = FullShop, **different: Any
) -> Point:
    async with load_generator(seconds, kind, **different) as customers:
        return asdict(await customers.run(stories.full_story))


async def state(seconds: float) -> list[Point]:
    """createOrder and a recovery, by the number of existing orders."""
    return [await _with_orders(rows, seconds) for rows in (10_000, 100_000, 1_000_000)]


async def _with_orders(rows: int, seconds: float) -> Point:
    with tempfile.TemporaryDirectory() as directory:
        async with one_gateway(Path(directory) / "shop") as (shop, client):
            await fill(shop.cluster, rows)
            worker = shop["loms-1"]
            worker.start()
            await put(client, stories.SKUS, stories.PLENTY)
            read, recovery = last_recovery(shop)
            customers = LoadGenerator(shop, shop.local.gateway_ports[:1], seconds)
            timing = await customers.run(stories.create_order)
            return {
                "orders": read,
                "recovery_seconds": recovery,
                "rss_mb": rss_bytes(worker.pid) >> 20,
                "disk_mb": _size(worker.state_dir) >> 20,
                **asdict(timing),
            }


def _size(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


async def footprint(seconds: float) -> list[Point]:
    """The records and bytes of a full story, by topic."""
    async with load_generator(seconds) as customers, customers.clients(8) as clients:
        return [asdict(each) for each in await footprints(customers.shop, clients)]


async def deadlines(_: float) -> list[Point]:
    """Unpaid orders, at the rate of createOrder over HTTP and all at once."""
    return [await _unpaid(rate) for rate in (ORDERS_PER_SECOND, math.inf)]


async def _unpaid(rate: float) -> Point:
    with tempfile.TemporaryDirectory() as directory:
        late = await lateness(Path(directory) / "shop", UNPAID, rate)
        return {"rate": rate, **asdict(late)}


PARTS: dict[str, Callable[[float], Awaitable[list[Point]]]] = {
    "load": load,
    "lines": lines,
    "workers": workers,
    "gateways": gateways,
    "partitions": partitions,
    "telemetry": telemetry,
    "state": state,
    "footprint": footprint,
    "deadlines": deadlines,
}


async def run(parts: Sequence[str], seconds: float, directory: Path | None) -> None:
    """Run the parts; print each point, and draw the parts that have a plot."""
    for part in parts:
        points = await PARTS[part](seconds)
        for point in points:
            print(json.dumps({"growth": part, **point}), flush=True)
        if directory is not None and part in PLOTS:
            draw(part, points, directory)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.growth", description=__doc__
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--seconds", type=float, default=5.0, help="of each point")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw curves there")
    args = parser.parse_args()
    uvloop.run(run(args.parts or [*PARTS], args.seconds, args.plots))


if __name__ == "__main__":
    main()
