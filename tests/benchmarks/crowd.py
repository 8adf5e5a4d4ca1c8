"""Customers who do one thing after the other, and how long each of it takes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

WARM_UP_SECONDS = 1.0

Customer = Callable[[int], Awaitable[object]]
"""Does his thing once, with a number that nobody else has."""


@dataclass(frozen=True)
class Timing:
    """How a crowd fared.

    Attributes:
        per_second: things done.
        p50: milliseconds that half of them took at most.
        p99: milliseconds that all but one in a hundred took at most.
    """

    per_second: float
    p50: float
    p99: float


async def crowd(
    customers: Sequence[Customer],
    numbers: Iterator[int],
    seconds: float,
    begun: Callable[[], None] = lambda: None,
) -> Timing:
    """Let customers do their things for a while, side by side.

    Args:
        customers: each begins anew as soon as he is done.
        numbers: what they take theirs from.
        seconds: how long, after a warm-up.
        begun: is called when the warm-up is over.
    """
    took: list[float] = []
    loop = asyncio.get_running_loop()
    start = perf_counter() + WARM_UP_SECONDS
    loop.call_later(WARM_UP_SECONDS, begun)
    end = start + seconds

    async def work(customer: Customer) -> None:
        began = perf_counter()
        while began < end:
            await customer(next(numbers))
            done = perf_counter()
            if start <= done < end:
                took.append(done - began)
            began = done

    await asyncio.gather(*map(work, customers))
    took.sort()
    middle, last = took[len(took) // 2], took[len(took) * 99 // 100]
    return Timing(len(took) / seconds, middle * 1000, last * 1000)
