"""What a fault is, and the list of all that there are."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from tests.chaos.arena import Arena

Strike = Callable[[Arena], AbstractAsyncContextManager[None]]


class NotPossibleError(Exception):
    """This machine does not let it happen; the message says why."""


@dataclass(frozen=True)
class Fault:
    """Something bad that may happen to a shop.

    Attributes:
        name: what it is called in tables.
        strike: makes it happen, and mends what does not mend itself.
        brokers: how many it needs; none is the single one that a shop comes with.
        lasting: the shop has to serve everybody while it lasts.
    """

    name: str
    strike: Strike
    brokers: int = 0
    lasting: bool = False


FAULTS: list[Fault] = []


def fault(
    name: str, *, brokers: int = 0, lasting: bool = False
) -> Callable[[Callable[[Arena], AsyncIterator[None]]], Strike]:
    """Put a fault on the list; what is behind its `yield` mends it, whatever happened."""

    def listed(strike: Callable[[Arena], AsyncIterator[None]]) -> Strike:
        @asynccontextmanager
        async def entry(arena: Arena) -> AsyncIterator[None]:
            halves = strike(arena)
            await anext(halves)
            try:
                yield
            finally:
                await anext(halves, None)

        FAULTS.append(Fault(name, entry, brokers, lasting))
        return entry

    return listed
