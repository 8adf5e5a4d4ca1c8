"""The queue of pending deliveries of one transport and partition.

The rows are in the table in log order. Memory holds the keys of the oldest ones. More keys
are read only when every order in memory is in flight or waits for its next attempt.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from heapq import heappop, heappush

from agents.notifications.backoff import Backoff

MAX_KEYS = 10_000
"""Limit of keys in memory. So many rows of failing orders block later rows."""

CHUNK = 256
"""Keys of one read."""


class PendingQueue:
    """Returns pending deliveries: the oldest first, in sequence within an order.

    Args:
        partition: the partition of the rows.
        read: returns a limited number of keys after a key, in log order.
        order_of: returns the order of a key.
        backoff: the delays of an order whose delivery failed.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        partition: int,
        read: Callable[[bytes, int], Sequence[bytes]],
        order_of: Callable[[bytes], int],
        backoff: Backoff,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.partition = partition
        self._read = read
        self._order_of = order_of
        self._backoff = backoff
        self._clock = clock
        self._added = asyncio.Event()
        self._orders: dict[int, deque[bytes]] = {}
        self._ready: list[tuple[bytes, int]] = []
        self._waiting: list[tuple[float, int]] = []
        self._failures: dict[int, int] = {}
        self._last = b""
        self._may_have_more = True
        self.size = 0

    @property
    def oldest(self) -> bytes | None:
        """The key of the oldest row in memory."""
        return min((keys[0] for keys in self._orders.values()), default=None)

    @property
    def floor(self) -> bytes:
        """A key below which no row is pending."""
        return self.oldest or (self._last and self._last + b"\0")

    async def next(self) -> bytes:
        """Wait for the next delivery; its order is in flight until `remove` or `retry`."""
        while (key := self._take()) is None:
            self._added.clear()
            wait = self._waiting[0][0] - self._clock() if self._waiting else None
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._added.wait()
        return key

    def wake(self) -> None:
        """Read rows again, since some were added."""
        self._may_have_more = True
        self._added.set()

    def remove(self, key: bytes) -> None:
        """Remove a complete delivery; the next one of its order becomes ready."""
        order = self._order_of(key)
        keys = self._orders[order]
        keys.popleft()
        self.size -= 1
        self._failures.pop(order, None)
        if keys:
            heappush(self._ready, (keys[0], order))
        else:
            del self._orders[order]
        self._added.set()

    def retry(self, key: bytes, wait_seconds: float = 0) -> float:
        """Schedule a failed delivery again; return the delay in seconds."""
        order = self._order_of(key)
        self._failures[order] = failures = self._failures.get(order, 0) + 1
        delay = max(wait_seconds, self._backoff.delay(failures))
        heappush(self._waiting, (self._clock() + delay, order))
        self._added.set()
        return delay

    def _take(self) -> bytes | None:
        while self._waiting and self._waiting[0][0] <= self._clock():
            _, order = heappop(self._waiting)
            heappush(self._ready, (self._orders[order][0], order))
        while not self._ready and self._may_have_more and self.size < MAX_KEYS:
            self._load()
        return heappop(self._ready)[0] if self._ready else None

    def _load(self) -> None:
        keys = self._read(self._last, CHUNK)
        self._may_have_more = len(keys) == CHUNK
        for key in keys:
            order = self._order_of(key)
            if order in self._orders:
                self._orders[order].append(key)
            else:
                self._orders[order] = deque([key])
                heappush(self._ready, (key, order))
        self.size += len(keys)
        self._last = keys[-1] if keys else self._last
