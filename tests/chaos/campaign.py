"""Rounds of faults: shoppers are at work, a fault is injected, and all is checked."""

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.chaos.arena import Arena, arena
from tests.chaos.checks import Aftermath
from tests.chaos.fault import Fault, NotPossibleError
from tests.chaos.history import History, Recorder
from tests.chaos.people import Rival
from tests.e2e.traffic import Crowd

ROUNDS_IN_A_SHOP = 20
SHOPPERS = 10
STEPS = 1
"""Calls of each shopper before, after and, if the shop has to serve, during a fault."""


@dataclass
class Round:
    """The result of a round.

    Attributes:
        operations: the number of answered calls.
        recovered: seconds from the fault, or from its end if the shop could not serve, to
            the answer of each partition's owner; None if that did not happen.
        fail_stops: processes that ended themselves, since their state was uncertain.
        violations: a text for each invariant that does not hold.
        not_possible: why this machine can't produce the fault.
    """

    fault: Fault
    number: int
    operations: int = 0
    recovered: float | None = None
    fail_stops: int = 0
    violations: Sequence[str] = ()
    not_possible: str | None = None


async def campaign(
    faults: Iterable[Fault], rounds: int, seed: int, directory: Path
) -> AsyncIterator[Round]:
    """Run a number of rounds of each fault, in shops with the cluster that it needs."""
    wanted = sorted(faults, key=lambda one: one.brokers)
    for brokers in sorted({fault.brokers for fault in wanted}):
        plan = [
            (fault, number)
            for fault in wanted
            if fault.brokers == brokers
            for number in range(rounds)
        ]
        while plan:
            place = directory / f"{brokers}-brokers-{len(plan)}-left"
            async with arena(place, brokers) as there:
                async for done in _play_until_broken(there, plan, seed):
                    yield done


async def _play_until_broken(
    there: Arena, plan: list[tuple[Fault, int]], seed: int
) -> AsyncIterator[Round]:
    """Run planned rounds; after a violation the rest needs a new shop.

    A shop ends after many rounds, too: an audit replays its whole history.
    """
    for _ in range(min(len(plan), ROUNDS_IN_A_SHOP)):
        fault, number = plan.pop(0)
        there.random = Random(f"{seed}/{fault.name}/{number}")
        done = await play(there, fault, number)
        yield done
        if done.violations:
            return


async def play(there: Arena, fault: Fault, number: int) -> Round:
    """Run one round."""
    done, history = Round(fault, number), History()
    crowd = _crowd(there, history)
    try:
        await _storm(there, fault, crowd, done)
    except NotPossibleError as reason:
        done.not_possible = str(reason)
    except (AssertionError, TimeoutError, ExceptionGroup) as wrong:
        done.violations = [f"while it happened: {wrong!r}"]
    try:
        await crowd.goes_home()
        await there.shop.serves()
        aftermath = Aftermath(there, crowd.shoppers, history)
        done.violations = [*done.violations, *await aftermath.violations()]
    except (AssertionError, TimeoutError) as wrong:
        done.violations = [*done.violations, f"afterwards: {wrong!r}"]
    done.operations = history.answered
    done.fail_stops = _fail_stops(there)
    return done


async def _storm(there: Arena, fault: Fault, crowd: Crowd, done: Round) -> None:
    await crowd.makes(STEPS)
    async with AsyncExitStack() as lasting:
        began = time.monotonic()
        await lasting.enter_async_context(fault.strike(there))
        if fault.lasting:
            await there.shop.serves()
            done.recovered = time.monotonic() - began
            await crowd.makes(STEPS)
    await there.shop.serves()
    if done.recovered is None:
        done.recovered = time.monotonic() - began
    await crowd.makes(STEPS)


def _crowd(there: Arena, history: History) -> Crowd:
    doors = [Recorder(door, history) for door in there.doors]
    shoppers = [
        Rival(
            there.fresh.user(),
            doors,
            there.goods,
            Random(there.random.random()),
            scarce=there.scarce,
        )
        for _ in range(SHOPPERS)
    ]
    there.everybody += shoppers
    return Crowd(shoppers)


def _fail_stops(there: Arena) -> int:
    units = list(there.shop.units.values())
    number = sum(unit.starts - unit.expected for unit in units)
    there.shop.forgive()
    return number
