"""The list of all faults."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from tests.chaos.arena import Arena

Strike = Callable[[Arena], AbstractAsyncContextManager[None]]


class NotPossibleError(Exception):
    """This machine can't produce the fault; the message has the reason."""


@dataclass(frozen=True)
class Fault:
    """A fault of a shop or of its dependencies.

    Attributes:
        name: in tables.
        strike: injects the fault, and repairs it at the end of the context.
        brokers: the number that it needs; 0: the single broker of a local shop.
        lasting: whether the shop has to serve while it lasts.
    """

    name: str
    strike: Strike
    brokers: int = 0
    lasting: bool = False


FAULTS: list[Fault] = []


def fault(
    name: str, *, brokers: int = 0, lasting: bool = False
) -> Callable[[Callable[[Arena], AsyncIterator[None]]], Strike]:
    """Register a fault; the code after its `yield` always runs, and repairs it."""

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
