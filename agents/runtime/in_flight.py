"""What is being carried out: how much there may be, and when batches are settled."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from agents.runtime.fail_stop import fail_stop
from agents.worker.consumer import ConsumerRecords

MAX_IN_FLIGHT = 64
"""Catches, or batches of errands, that may be under way; then no more is read (R10)."""


class InFlightBatches:
    """Settles each batch when all that it caused is acknowledged (R2)."""

    def __init__(self) -> None:
        self._capacity = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._completing: set[asyncio.Task[None]] = set()

    async def acquire(self) -> None:
        """Wait until something more may be opened."""
        await self._capacity.acquire()

    def complete(
        self, event: Any, batches: ConsumerRecords, rest: Coroutine[Any, Any, None]
    ) -> None:
        """Do the rest of the work of batches, and then let them be committed."""
        task = asyncio.create_task(self._complete(event, batches, rest))
        self._completing.add(task)
        task.add_done_callback(self._completed)

    async def _complete(
        self, event: Any, batches: ConsumerRecords, rest: Coroutine[Any, Any, None]
    ) -> None:
        try:
            await rest
            for batch in batches:
                batch.acknowledged = True
        finally:
            event.ack()  # faust's own; without `settled` nothing is committed

    def _completed(self, task: asyncio.Task[None]) -> None:
        self._completing.discard(task)
        self._capacity.release()
        if not task.cancelled() and task.exception() is not None:
            fail_stop("a batch could not be settled: %r", task.exception())
