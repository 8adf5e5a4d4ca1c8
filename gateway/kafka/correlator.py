"""Matches replies to requests by correlation id."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta

Send = Callable[[bytes], Awaitable[None]]

_NO_REPLY = None


class Overloaded(Exception):  # noqa: N818 -- a response, not an error
    """The limit of waiting callers is reached; the request was not sent."""


class Correlator:
    """Matches replies to waiting callers.

    Args:
        limit: the number of callers that may wait at the same time.
        timeout: the time that each of them waits.
    """

    def __init__(self, limit: int, timeout: timedelta) -> None:
        self._limit = limit
        self._timeout = timeout.total_seconds()
        self._waiting: dict[bytes, asyncio.Future[bytes | None]] = {}

    async def request(self, send: Send) -> bytes:
        """Send a request with a new correlation id; return its reply.

        Raises:
            Overloaded: nothing was sent.
            TimeoutError: no reply in time; the request may still be processed.
        """
        if len(self._waiting) >= self._limit:
            raise Overloaded
        correlation_id = os.urandom(16).hex().encode()
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bytes | None] = loop.create_future()
        self._waiting[correlation_id] = waiting
        # Every call needs a timer; this one costs half of asyncio.timeout.
        timer = loop.call_later(self._timeout, _time_out, waiting)
        try:
            await send(correlation_id)
            reply = await waiting
        finally:
            timer.cancel()
            del self._waiting[correlation_id]
        if reply is _NO_REPLY:
            raise TimeoutError(correlation_id.decode())
        return reply

    def resolve(self, correlation_id: bytes, reply: bytes) -> None:
        """Pass a reply to its caller; drop a late or repeated one."""
        waiting = self._waiting.get(correlation_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    def fail(self, correlation_id: bytes, error: Exception) -> None:
        """Raise an error in the caller that waits for a reply."""
        waiting = self._waiting.get(correlation_id)
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)


def _time_out(waiting: asyncio.Future[bytes | None]) -> None:
    if not waiting.done():
        waiting.set_result(_NO_REPLY)
