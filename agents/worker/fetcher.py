"""Fetching more records only after the present ones have been processed."""

import asyncio
from typing import Any

from aiokafka.consumer import fetcher

YIELDS = 8
"""Turns of the event loop until a fetched record is processed and its reply sent."""


class YieldingFetcher(fetcher.Fetcher):
    """Yields to the event loop before each fetch; replaces aiokafka's `Fetcher`.

    aiokafka fetches at once. Building a fetch takes as long as processing a record, and
    would delay that record's reply.
    """

    async def _proc_fetch_request(self, *request: Any) -> bool:
        try:
            for _ in range(YIELDS):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            return False  # as aiokafka does when its partitions are revoked
        new_data: bool = await super()._proc_fetch_request(*request)
        return new_data
