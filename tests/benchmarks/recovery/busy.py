"""Whether workers end on a busy machine: two endless loops while a shop is under load."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agents.ops.local.readiness import one_for_each
from tests.e2e.clients import HttpClient, NoAnswer
from tests.e2e.shop import Shop

_LOOPS = 2
_CUSTOMERS = 8


@dataclass(frozen=True)
class Busy:
    """The result: answers, queries without one, and workers that ended."""

    seconds: float
    answers: int
    unanswered: int
    deaths: dict[str, int]


async def busy(directory: Path, seconds: float) -> Busy:
    """Query the stock of a shop while the processor has no idle moment."""
    shop = Shop(directory, session_timeout_seconds="")  # as short as in production
    client = HttpClient(shop.gateways[0])
    try:
        await shop.start()
        async with _noise():
            until = time.monotonic() + seconds
            tasks = [_customer(client, shop.partitions, until) for _ in range(_CUSTOMERS)]
            outcomes = [each for some in await asyncio.gather(*tasks) for each in some]
        deaths = {u.name: u.starts - u.expected for u in shop.units.values()}
        shop.accept_ended()
        return Busy(seconds, sum(outcomes), outcomes.count(False), deaths)
    finally:
        await client.close()
        await shop.stop()


async def _customer(client: HttpClient, partitions: int, until: float) -> list[bool]:
    outcomes = []
    while time.monotonic() < until:
        for sku in one_for_each(partitions):
            answered = False
            with suppress(NoAnswer):
                await client.ask("stocks", {"sku": sku})
                answered = True
            outcomes.append(answered)
    return outcomes


@asynccontextmanager
async def _noise() -> AsyncIterator[None]:
    words = (sys.executable, "-c", "while True: pass")
    loops = [await asyncio.create_subprocess_exec(*words) for _ in range(_LOOPS)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            await loop.wait()
