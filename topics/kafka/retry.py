"""Repeats requests that no broker can carry out for the moment.

One of several brokers may be down, be starting, or have passed on the lead of partitions or
groups. The admin client of aiokafka sends a request to any broker, and only once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiokafka.errors import KafkaError

_SECONDS = 60.0
_PAUSE_SECONDS = 0.2

T = TypeVar("T")


async def retry(request: Callable[[], Awaitable[T]]) -> T:
    """Send a request until it succeeds, for a minute; it must be harmless to repeat it.

    Raises:
        KafkaError: the request can't succeed, or did not within the minute.
        TimeoutError: a broker that the admin client had to ask was down all the time.
    """
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            return await request()
        except (KafkaError, TimeoutError) as error:
            if not getattr(error, "retriable", True) or time.monotonic() > deadline:
                raise
        await asyncio.sleep(_PAUSE_SECONDS)
