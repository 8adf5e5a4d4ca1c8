"""What is being carried out: how much there may be, and when batches are settled."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from agents.worker.batches import Catch
from agents.worker.failstop import die

MOST = 64
"""Catches, or batches of errands, that may be under way; then no more is read (R10)."""


class OpenBatches:
    """Settles each batch when all that it caused is acknowledged (R2)."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(MOST)
        self._settling: set[asyncio.Task[None]] = set()

    async def room(self) -> None:
        """Wait until something more may be opened."""
        await self._room.acquire()

    def settle(self, event: Any, batches: Catch, rest: Coroutine[Any, Any, None]) -> None:
        """Do the rest of the work of batches, and then let them be committed."""
        task = asyncio.create_task(self._settle(event, batches, rest))
        self._settling.add(task)
        task.add_done_callback(self._settled)

    async def _settle(
        self, event: Any, batches: Catch, rest: Coroutine[Any, Any, None]
    ) -> None:
        try:
            await rest
            for batch in batches:
                batch.settled = True
        finally:
            event.ack()  # faust's own; without `settled` nothing is committed

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._settling.discard(task)
        self._room.release()
        if not task.cancelled() and task.exception() is not None:
            die("a batch could not be settled: %r", task.exception())
