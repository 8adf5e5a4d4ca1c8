"""Asking for more records only after those that are here have been seen to."""

import asyncio
from typing import Any

from aiokafka.consumer import fetcher

YIELDS = 8
"""Of the loop, until a record that was fetched is folded and its reply has been sent."""


class YieldingFetcher(fetcher.Fetcher):
    """Lets what it brought go first; to stand in for aiokafka's `Fetcher`.

    That asks for more at once. It takes as long as all that a worker does about a record,
    and whoever waits for the reply would wait for that, too.
    """

    async def _proc_fetch_request(self, *asked: Any) -> bool:
        try:
            for _ in range(YIELDS):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            return False  # as it says itself when its partitions have gone
        new_data: bool = await super()._proc_fetch_request(*asked)
        return new_data
