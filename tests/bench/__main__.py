"""`make bench`: commands through one worker, beside the floor, on a broker of its own.

Floor and worker take turns in the same run, so that each figure is also a ratio. What is
preloaded is read from the first reply on: start-up is not part of it.
"""

import asyncio
import json
import os
import subprocess
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


@asynccontextmanager
async def process(*words: str, **environment: str) -> AsyncIterator[None]:
    """A Python process, for as long as it is measured."""
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        running.terminate()
        await running.wait()


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
        async with process("-m", "tests.bench.echo", bootstrap):
            rates.setdefault("bare aiokafka echo", []).append(await replies.rate(COMMANDS))
        for name, command in commands.items():
            await preload(bootstrap, "stock.requests", command, COMMANDS)
            async with process("-m", "agents", "loms", **worker):
                rates.setdefault(name, []).append(await replies.rate(COMMANDS))
    await replies.consumer.stop()
    return rates


def report(rates: dict[str, list[float]]) -> None:
    """Print a table, and a JSON line for each result."""
    floor = median(rates["bare aiokafka echo"])
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
