"""The pending deliveries of one transport and partition, of which few are in memory.

The rows lie in the table in log order. Memory holds the keys of the oldest ones. More keys
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
"""Keys in memory. So many rows of failing orders hold up the rows behind them."""

CHUNK = 256
"""Keys that are read at once."""


class PendingQueue:
    """Hands out pending deliveries: strictly in order within an order, oldest first.

    Args:
        partition: of the rows.
        read: returns up to so many keys of rows behind a key, in log order.
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
        """Wait for a delivery that may be tried now; its order is in flight from now on."""
        while (key := self._take()) is None:
            self._added.clear()
            wait = self._waiting[0][0] - self._clock() if self._waiting else None
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._added.wait()
        return key

    def wake(self) -> None:
        """Look for rows again: some were added, or became deliverable."""
        self._may_have_more = True
        self._added.set()

    def remove(self, key: bytes) -> None:
        """Drop a delivery that is complete; the next one of its order may be tried."""
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
        """Have a failed delivery tried again; return after how many seconds."""
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
