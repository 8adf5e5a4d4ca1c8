"""Polling for an expected result."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

WITHIN_SECONDS = 90.0
_LOOK_SECONDS = 0.02

T = TypeVar("T")


async def until(
    look: Callable[[], Awaitable[T] | T], what: str, within: float = WITHIN_SECONDS
) -> T:
    """Poll until a result is true; return it.

    Args:
        look: returns a result; a false one means to poll again.
        what: the expected result, for the error message.
        within: seconds.
    """
    deadline = time.monotonic() + within
    while True:
        found = look()
        seen = await found if isinstance(found, Awaitable) else found
        if seen:
            return seen
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        await asyncio.sleep(_LOOK_SECONDS)
