"""`make bench`: commands through one worker, beside the floor, on a broker of its own.

Floor and worker take turns in the same run, so that each figure is also a ratio. What is
preloaded is read from the first reply on: start-up is not part of it.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.echo import REQUESTS
from tests.bench.load import PARTITIONS, REPLIES, Command, Replies, preload
from topics.admin import create
from topics.broker.embedded import EmbeddedKafka, free_place
from topics.catalog import TOPICS
from topics.cluster import Cluster
from topics.topic import Kind, Topic

ROUNDS = 3
COMMANDS = 60_000
SKUS = 20_000
FLOOR = "bare aiokafka echo"


def receive_stock(number: int) -> tuple[str, dict[str, Any]]:
    """Goods for one of many skus: two rows written, and a reply."""
    sku = number % SKUS
    return str(sku), {"type": "receiveStock", "sku": sku, "warehouseID": 1, "count": 1}


def receive_hot(_: int) -> tuple[str, dict[str, Any]]:
    """Goods for always the same sku."""
    return "7", {"type": "receiveStock", "sku": 7, "warehouseID": 1, "count": 1}


def stocks(number: int) -> tuple[str, dict[str, Any]]:
    """A question: a row read, and a reply."""
    sku = number % SKUS
    return str(sku), {"type": "stocks", "sku": sku}


@asynccontextmanager
async def broker(directory: Path) -> AsyncIterator[str]:
    """A broker of the benchmark's own, with all topics."""
    heap = {"KAFKA_HEAP": "512m", "PARTITIONS": str(PARTITIONS)}
    kafka = EmbeddedKafka(free_place(directory / "kafka"), heap)
    kafka.start()
    try:
        await kafka.ready()
        cluster = Cluster(kafka=kafka.bootstrap, partitions=PARTITIONS)
        ours = [
            Topic(name, Kind.REPLIES, "Of a benchmark.") for name in (REQUESTS, REPLIES)
        ]
        await create(cluster, [*TOPICS, *ours])
        yield kafka.bootstrap
    finally:
        kafka.stop()


async def rate_of(replies: Replies, *words: str, **environment: str) -> float:
    """Return the rate at which a Python process answers what was preloaded.

    Raises:
        RuntimeError: it ended before it had answered all.
    """
    with tempfile.TemporaryFile() as log:
        running = await asyncio.create_subprocess_exec(
            sys.executable,
            *words,
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
        )
        counting = asyncio.create_task(replies.rate(COMMANDS))
        ended = asyncio.create_task(running.wait())
        await asyncio.wait({counting, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not counting.done():
            log.seek(0)
            raise RuntimeError(f"{words} ended: {log.read()[-1000:].decode()}")
        running.terminate()
        await ended
        return counting.result()


async def measure(bootstrap: str, directory: Path) -> dict[str, list[float]]:
    """Return the rates of floor and worker, round by round."""
    replies = await Replies.open(bootstrap)
    rates: dict[str, list[float]] = {}
    worker = {"KAFKA": bootstrap, "STATE_DIR": str(directory / "loms"), "WORKER": "loms-1"}
    commands: dict[str, Command] = {
        "receiveStock": receive_stock,
        "receiveStock, one hot sku": receive_hot,
        "stocks": stocks,
    }
    for _ in range(ROUNDS):
        await preload(bootstrap, REQUESTS, receive_stock, COMMANDS)
        rate = await rate_of(replies, "-m", "tests.bench.echo", bootstrap)
        rates.setdefault(FLOOR, []).append(rate)
        for name, command in commands.items():
            await preload(bootstrap, "stock.requests", command, COMMANDS)
            rate = await rate_of(replies, "-m", "agents", "loms", **worker)
            rates.setdefault(name, []).append(rate)
    await replies.consumer.stop()
    return rates


def report(rates: dict[str, list[float]]) -> None:
    """Print a table, and a JSON line for each result."""
    floor = median(rates[FLOOR])
    print(f"{'preloaded, one worker':<28}{'median/s':>10}{'x floor':>9}  rounds")
    for name, rounds in rates.items():
        middle = median(rounds)
        shown = " ".join(f"{rate:.0f}" for rate in rounds)
        print(f"{name:<28}{middle:>10.0f}{middle / floor:>9.2f}  {shown}")
    for name, rounds in rates.items():
        print(json.dumps({"bench": name, "per_second": rounds, "floor": floor}))


async def main() -> None:
    """Measure and report."""
    with tempfile.TemporaryDirectory() as directory:
        async with broker(Path(directory)) as bootstrap:
            report(await measure(bootstrap, Path(directory)))


if __name__ == "__main__":
    asyncio.run(main())
