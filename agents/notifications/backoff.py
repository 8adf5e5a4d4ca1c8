"""Delays between attempts, and the circuit breaker of a transport."""

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

MAX_IN_FLIGHT = 128
"""Limit of concurrent attempts of one transport."""

FAILURE_THRESHOLD = 10
"""Orders that fail in a row before the circuit opens. One order never opens it."""


@dataclass(frozen=True)
class Backoff:
    """Seconds between attempts: doubled after each failure, up to a limit.

    Attributes:
        random: shortens each delay by up to a half, so that retries do not coincide.
    """

    first: float = 0.5
    maximum: float = 30.0
    random: Random = field(default_factory=Random)

    def delay(self, failures: int) -> float:
        """Return the delay after a number of failures, at least one."""
        doubled = self.first * 2.0 ** min(failures - 1, 64)
        return min(self.maximum, doubled) * self.random.uniform(0.5, 1)


DEFAULT_BACKOFF = Backoff()


class CircuitBreaker:
    """Limits the attempts of one transport; a transport that is down gets few.

    The circuit opens when several orders fail in a row. An open circuit admits one attempt
    after each delay. The first success closes it.
    """

    def __init__(
        self, backoff: Backoff, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._backoff = backoff
        self._clock = clock
        self._turn = asyncio.Lock()  # first come, first served
        self._changed = asyncio.Event()
        self._in_flight = 0
        self._failed: set[int] = set()
        self._generation = 0
        self._openings = 0
        self._retry_at = 0.0

    @property
    def is_up(self) -> bool:
        """Whether no attempt has failed since the last success."""
        return not self._failed

    @property
    def is_open(self) -> bool:
        """Whether the transport counts as down."""
        return self._openings > 0

    async def acquire(self) -> int:
        """Wait for a slot; return the generation of the attempt, for `fail`."""
        async with self._turn:
            while (wait := self._wait_seconds()) > 0:
                self._changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(None if wait == math.inf else wait):
                        await self._changed.wait()
            self._in_flight += 1
            return self._generation

    def release(self) -> None:
        """Release a slot."""
        self._in_flight -= 1
        self._changed.set()

    def succeed(self) -> bool:
        """Record a response of the transport; return whether it closed the circuit."""
        was_open = self.is_open
        self._failed.clear()
        self._openings = 0
        self._retry_at = 0.0
        self._changed.set()
        return was_open

    def fail(self, order_id: int, generation: int, wait_seconds: float = 0) -> bool:
        """Record a failure of the transport; return whether it opened the circuit.

        A failure of an attempt that began before the circuit opened does not prolong the
        delay, which is `wait_seconds` or more.
        """
        if generation != self._generation:
            return False
        self._failed.add(order_id)
        if len(self._failed) < FAILURE_THRESHOLD:
            return False
        self._generation += 1
        self._openings += 1
        delay = max(wait_seconds, self._backoff.delay(self._openings))
        self._retry_at = self._clock() + delay
        return self._openings == 1

    def _wait_seconds(self) -> float:
        if self._in_flight >= (1 if self.is_open else MAX_IN_FLIGHT):
            return math.inf
        return self._retry_at - self._clock()
