"""How fast somebody else's service may be asked."""

import asyncio
from collections.abc import Callable
from time import monotonic


class TokenBucket:
    """So many calls a second, and so many at once after a rest.

    Whoever waits is served in turn; whoever gives up waiting has spent nothing.
    """

    def __init__(
        self, per_second: float, burst: int, clock: Callable[[], float] = monotonic
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._filled_at = clock()
        self._turn = asyncio.Lock()

    async def take(self) -> None:
        """Wait for one call's turn."""
        async with self._turn:
            await asyncio.sleep(self.seconds_for(1))
            self._tokens = self._fill() - 1

    def seconds_for(self, calls: int) -> float:
        """Say how long so many calls would wait if nobody else asked."""
        return max(0.0, calls - self._fill()) / self._per_second

    def _fill(self) -> float:
        now = self._clock()
        gained = (now - self._filled_at) * self._per_second
        self._tokens = min(self._burst, self._tokens + gained)
        self._filled_at = now
        return self._tokens
