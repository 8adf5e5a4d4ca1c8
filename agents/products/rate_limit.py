"""The rate limit of calls to an external service."""

import asyncio
from collections.abc import Callable
from time import monotonic


class TokenBucket:
    """Allows a number of calls a second, and a burst after a pause.

    Waiting callers are served in order. A cancelled caller uses no token.
    """

    def __init__(
        self, per_second: float, burst: int, clock: Callable[[], float] = monotonic
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._filled_at = clock()
        self._lock = asyncio.Lock()

    async def take(self) -> None:
        """Wait for a token and take it."""
        async with self._lock:
            await asyncio.sleep(self.seconds_for(1))
            self._tokens = self._fill() - 1

    def seconds_for(self, calls: int) -> float:
        """Return the time that a number of calls would wait without other callers."""
        return max(0.0, calls - self._fill()) / self._per_second

    def _fill(self) -> float:
        now = self._clock()
        gained = (now - self._filled_at) * self._per_second
        self._tokens = min(self._burst, self._tokens + gained)
        self._filled_at = now
        return self._tokens
