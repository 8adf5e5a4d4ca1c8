"""Receipts of one unit each; the worker that counts them is killed 20 times."""

import random
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.clients import HttpClient
from tests.e2e.counting import counted, kill_while_it_counts, preload
from tests.e2e.shop import Shop
from topics.admin import create

SKUS = range(5_000_000, 5_000_100)


@dataclass(frozen=True)
class Count:
    """The result; `seconds` from the worker's first start to the last answer."""

    records: int
    kills: int
    counted: int
    seconds: float
    seed: int


async def count(directory: Path, records: int, kills: int, seed: int) -> Count:
    """Count records with a worker that is killed at random moments."""
    async with one_gateway(directory) as (shop, client):
        await preload(shop.cluster, SKUS, records)
        began = time.monotonic()
        worker = shop["loms-1"]
        chance = random.Random(seed)
        await kill_while_it_counts(worker, shop.cluster, records, kills, chance)
        seen = await counted(client, SKUS)
        return Count(records, kills, seen, round(time.monotonic() - began, 1), seed)


async def put(client: HttpClient, skus: Iterable[int], count: int) -> None:
    """Receive units of each sku; wait for a worker if there is none."""
    for sku in skus:
        receipt = {"sku": sku, "warehouseID": 1, "count": count}
        await client.ask_until_answered("receiveStock", f"put-{sku}", **receipt)


@asynccontextmanager
async def one_gateway(directory: Path) -> AsyncIterator[tuple[Shop, HttpClient]]:
    """A broker with topics, and a gateway; no worker runs yet."""
    shop = Shop(directory, session_timeout_seconds="")  # as short as in production
    client = HttpClient(shop.gateways[0])
    try:
        shop["kafka"].start()
        shop["gateway-1"].start()
        await shop.broker_answers()
        await create(shop.cluster)
        yield shop, client
    finally:
        await client.close()
        await shop.stop()
