"""Delays between attempts, and a circuit that opens when a transport is down."""

import asyncio
from random import Random

import pytest

from agents.notifications.backoff import (
    FAILURE_THRESHOLD,
    MAX_IN_FLIGHT,
    Backoff,
    CircuitBreaker,
)


class NoJitter(Random):
    def uniform(self, a: float, b: float) -> float:
        return b


EXACT = Backoff(first=0.5, maximum=30, random=NoJitter())


class _Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def breaker(clock: _Clock) -> CircuitBreaker:
    return CircuitBreaker(EXACT, clock)


async def _admitted(breaker: CircuitBreaker) -> int | None:
    """Return the generation of an attempt that is admitted now; None: none is."""
    task = asyncio.create_task(breaker.acquire())
    for _ in range(5):
        await asyncio.sleep(0)
    if task.done():
        return task.result()
    task.cancel()
    return None


async def _opened(breaker: CircuitBreaker) -> None:
    for order in range(FAILURE_THRESHOLD):
        breaker.fail(order, await breaker.acquire())
        breaker.release()
    assert breaker.is_open


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 0.5), (2, 1), (3, 2), (7, 30), (5000, 30)]
)
def test_a_delay_is_doubled_up_to_its_limit(failures: int, seconds: float):
    assert EXACT.delay(failures) == seconds


def test_delays_of_many_do_not_coincide():
    delays = {Backoff().delay(1) for _ in range(100)}
    assert len(delays) > 90
    assert all(0.25 <= delay <= 0.5 for delay in delays)


async def test_a_closed_circuit_admits_a_limited_number_of_attempts(
    breaker: CircuitBreaker,
):
    for _ in range(MAX_IN_FLIGHT):
        assert await _admitted(breaker) == 0
    assert await _admitted(breaker) is None
    breaker.release()
    assert await _admitted(breaker) == 0


async def test_one_order_that_always_fails_opens_no_circuit(breaker: CircuitBreaker):
    for _ in range(100):
        breaker.fail(1, await breaker.acquire())
        breaker.release()
    assert not breaker.is_open
    assert not breaker.is_up


async def test_failures_between_successes_open_no_circuit(breaker: CircuitBreaker):
    for order in range(100):
        breaker.fail(order, await breaker.acquire())
        breaker.release()
        if order % 9 == 8:
            breaker.succeed()
    assert not breaker.is_open


async def test_an_open_circuit_admits_one_attempt_after_each_delay(
    breaker: CircuitBreaker, clock: _Clock
):
    await _opened(breaker)
    assert await _admitted(breaker) is None
    for delay in (0.5, 1, 2, 4, 8, 16, 30, 30):
        clock.now += delay - 0.01
        assert await _admitted(breaker) is None
        clock.now += 0.01
        generation = await _admitted(breaker)
        assert generation is not None
        assert await _admitted(breaker) is None
        breaker.fail(1, generation)
        breaker.release()


async def test_a_success_closes_the_circuit(breaker: CircuitBreaker, clock: _Clock):
    await _opened(breaker)
    clock.now += 0.5
    assert await _admitted(breaker) is not None
    assert breaker.succeed()
    breaker.release()
    assert breaker.is_up
    for _ in range(MAX_IN_FLIGHT):
        assert await _admitted(breaker) is not None
    assert not breaker.succeed()


async def test_late_failures_of_earlier_attempts_do_not_prolong_the_delay(
    breaker: CircuitBreaker, clock: _Clock
):
    early = [await breaker.acquire() for _ in range(50)]
    for order, generation in enumerate(early):
        breaker.fail(order, generation)
        breaker.release()
    clock.now += 0.5
    assert await _admitted(breaker) is not None


async def test_a_receiver_may_request_a_longer_delay(
    breaker: CircuitBreaker, clock: _Clock
):
    for order in range(FAILURE_THRESHOLD):
        breaker.fail(order, await breaker.acquire(), wait_seconds=17)
        breaker.release()
    clock.now += 16.9
    assert await _admitted(breaker) is None
    clock.now += 0.1
    assert await _admitted(breaker) is not None
