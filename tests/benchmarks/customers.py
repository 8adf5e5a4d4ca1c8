"""Concurrent customers that repeat an action, and the latency of each."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from time import perf_counter

WARM_UP_SECONDS = 1.0

Customer = Callable[[int], Awaitable[object]]
"""Performs the action once, with a number that no other customer gets."""


@dataclass(frozen=True)
class Timing:
    """Throughput and latencies of a measurement.

    Attributes:
        per_second: actions.
        p50: milliseconds, the median.
        p99: milliseconds, the 99th percentile.
    """

    per_second: float
    p50: float
    p99: float


async def measure(
    customers: Sequence[Customer],
    numbers: Iterator[int],
    seconds: float,
    begun: Callable[[], None] = lambda: None,
) -> Timing:
    """Run customers concurrently for some time; return throughput and latencies.

    Args:
        customers: each repeats its action.
        numbers: of the actions.
        seconds: of the measurement, after a warm-up.
        begun: is called after the warm-up.
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
    return _timing(took, seconds)


async def measure_idle(
    customer: Customer, numbers: Iterator[int], times: int, idle_seconds: float
) -> Timing:
    """Perform an action so many times, each after so long without any."""
    took: list[float] = []
    for number in islice(numbers, times):
        await asyncio.sleep(idle_seconds)
        began = perf_counter()
        await customer(number)
        took.append(perf_counter() - began)
    return _timing(took, sum(took) + times * idle_seconds)


def _timing(took: list[float], seconds: float) -> Timing:
    took.sort()
    middle, last = took[len(took) // 2], took[len(took) * 99 // 100]
    return Timing(len(took) / seconds, middle * 1000, last * 1000)
