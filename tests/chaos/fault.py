"""The list of all faults."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from tests.chaos.environment import Environment

Injection = Callable[[Environment], AbstractAsyncContextManager[None]]


class NotPossibleError(Exception):
    """This machine can't produce the fault; the message has the reason."""


@dataclass(frozen=True)
class Fault:
    """A fault of a shop or of its dependencies.

    Attributes:
        name: in tables.
        inject: injects the fault, and repairs it at the end of the context.
        brokers: the number that it needs; 0: the single broker of a local shop.
        standbys: of each partition; at least so many.
        lasting: whether the shop has to serve while it lasts.
    """

    name: str
    inject: Injection
    brokers: int = 0
    standbys: int = 0
    lasting: bool = False


FAULTS: list[Fault] = []


def fault(
    name: str, *, brokers: int = 0, standbys: int = 0, lasting: bool = False
) -> Callable[[Callable[[Environment], AsyncIterator[None]]], Injection]:
    """Register a fault; the code after its `yield` always runs, and repairs it."""

    def listed(inject: Callable[[Environment], AsyncIterator[None]]) -> Injection:
        @asynccontextmanager
        async def entry(environment: Environment) -> AsyncIterator[None]:
            halves = inject(environment)
            await anext(halves)
            try:
                yield
            finally:
                await anext(halves, None)

        FAULTS.append(Fault(name, entry, brokers, standbys, lasting))
        return entry

    return listed
