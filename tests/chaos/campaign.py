"""Rounds of faults: shoppers are at work, a fault is injected, and all is checked."""

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from random import Random

from tests.chaos.checks import RoundChecks
from tests.chaos.environment import Environment, open_environment
from tests.chaos.fault import Fault, NotPossibleError
from tests.chaos.history import History, Recorder
from tests.chaos.rivals import Rival
from tests.e2e.traffic import ShopperPool

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
    """Run a number of rounds of each fault, in shops of the kind that it needs."""
    for (brokers, standbys), alike in groupby(sorted(faults, key=_needs), _needs):
        plan = [(fault, number) for fault in alike for number in range(rounds)]
        while plan:
            place = directory / f"{brokers}-brokers-{standbys}-standbys-{len(plan)}-left"
            async with open_environment(place, brokers, standbys) as environment:
                async for done in _play_until_broken(environment, plan, seed):
                    yield done


def _needs(fault: Fault) -> tuple[int, int]:
    return fault.brokers, fault.standbys


async def _play_until_broken(
    environment: Environment, plan: list[tuple[Fault, int]], seed: int
) -> AsyncIterator[Round]:
    """Run planned rounds; after a violation the rest needs a new shop.

    A shop ends after many rounds, too: an audit replays its whole history.
    """
    for _ in range(min(len(plan), ROUNDS_IN_A_SHOP)):
        fault, number = plan.pop(0)
        environment.random = Random(f"{seed}/{fault.name}/{number}")
        done = await play(environment, fault, number)
        yield done
        if done.violations:
            return


async def play(environment: Environment, fault: Fault, number: int) -> Round:
    """Run one round."""
    done, history = Round(fault, number), History()
    pool = _start_shoppers(environment, history)
    try:
        await _inject(environment, fault, pool, done)
    except NotPossibleError as reason:
        done.not_possible = str(reason)
    except (AssertionError, TimeoutError, ExceptionGroup) as wrong:
        done.violations = [f"while it happened: {wrong!r}"]
    try:
        await pool.finish()
        await environment.shop.ready()
        checks = RoundChecks(environment, pool.shoppers, history)
        done.violations = [*done.violations, *await checks.violations()]
    except (AssertionError, TimeoutError) as wrong:
        done.violations = [*done.violations, f"afterwards: {wrong!r}"]
    done.operations = history.answered
    done.fail_stops = _fail_stops(environment)
    return done


async def _inject(
    environment: Environment, fault: Fault, pool: ShopperPool, done: Round
) -> None:
    await pool.complete(STEPS)
    async with AsyncExitStack() as lasting:
        began = time.monotonic()
        await lasting.enter_async_context(fault.inject(environment))
        if fault.lasting:
            await environment.shop.ready()
            done.recovered = time.monotonic() - began
            await pool.complete(STEPS)
    await environment.shop.ready()
    if done.recovered is None:
        done.recovered = time.monotonic() - began
    await pool.complete(STEPS)


def _start_shoppers(environment: Environment, history: History) -> ShopperPool:
    clients = [Recorder(client, history) for client in environment.clients]
    shoppers = [
        Rival(
            environment.ids.user(),
            clients,
            environment.assortment,
            Random(environment.random.random()),
            scarce=environment.scarce,
        )
        for _ in range(SHOPPERS)
    ]
    environment.all_shoppers += shoppers
    return ShopperPool(shoppers)


def _fail_stops(environment: Environment) -> int:
    units = list(environment.shop.units.values())
    number = sum(unit.starts - unit.expected for unit in units)
    environment.shop.accept_ended()
    return number
