"""Batches that are being carried out: how many there may be, and when one is settled."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from agents.worker.failstop import die

MOST = 64
"""Batches that may wait for acknowledgements; then no more is read (R10)."""


class OpenBatches:
    """Settles each batch when all that it caused is acknowledged (R2)."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(MOST)
        self._settling: set[asyncio.Task[None]] = set()

    async def room(self) -> None:
        """Wait until another batch may be opened."""
        await self._room.acquire()

    def settle(self, event: Any, rest: Coroutine[Any, Any, None]) -> None:
        """Do the rest of a batch's work, and then let it be committed."""
        task = asyncio.create_task(self._settle(event, rest))
        self._settling.add(task)
        task.add_done_callback(self._settled)

    async def _settle(self, event: Any, rest: Coroutine[Any, Any, None]) -> None:
        try:
            await rest
            event.message.value.settled = True
        finally:
            event.ack()  # faust's own; without `settled` nothing is committed

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._settling.discard(task)
        self._room.release()
        if not task.cancelled() and task.exception() is not None:
            die("a batch could not be settled: %r", task.exception())
