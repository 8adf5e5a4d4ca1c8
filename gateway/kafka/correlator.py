"""Request and reply over two topics, as one await."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta

Send = Callable[[bytes], Awaitable[None]]

_NOBODY_REPLIED = None


class Overloaded(Exception):  # noqa: N818 -- an answer, not an error
    """As many callers wait as may; the request was not sent."""


class Correlator:
    """Matches replies to the callers who wait for them.

    Args:
        limit: callers that may wait at the same time.
        patience: how long each of them waits.
    """

    def __init__(self, limit: int, patience: timedelta) -> None:
        self._limit = limit
        self._patience = patience.total_seconds()
        self._waiting: dict[bytes, asyncio.Future[bytes | None]] = {}

    async def ask(self, send: Send) -> bytes:
        """Send a request under a fresh correlation id, and wait for its reply.

        Raises:
            Overloaded: nothing was sent.
            TimeoutError: no reply came in time; the request may still be carried out.
        """
        if len(self._waiting) >= self._limit:
            raise Overloaded
        correlation_id = os.urandom(16).hex().encode()
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bytes | None] = loop.create_future()
        self._waiting[correlation_id] = waiting
        # Half the price of asyncio.timeout, and every call pays it.
        timer = loop.call_later(self._patience, _give_up, waiting)
        try:
            await send(correlation_id)
            reply = await waiting
        finally:
            timer.cancel()
            del self._waiting[correlation_id]
        if reply is _NOBODY_REPLIED:
            raise TimeoutError(correlation_id.decode())
        return reply

    def resolve(self, correlation_id: bytes, reply: bytes) -> None:
        """Hand over a reply; one that is late, or comes twice, is dropped."""
        waiting = self._waiting.get(correlation_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    def fail(self, correlation_id: bytes, error: Exception) -> None:
        """Let a caller know that no reply will come."""
        waiting = self._waiting.get(correlation_id)
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)


def _give_up(waiting: asyncio.Future[bytes | None]) -> None:
    if not waiting.done():
        waiting.set_result(_NOBODY_REPLIED)
