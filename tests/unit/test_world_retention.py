"""The shop while orders are deleted, whatever is on its way at that instant."""

from collections import Counter
from datetime import timedelta

import pytest

from agents.loms.order import OPEN

from . import invariants
from .ledger import Ledger
from .shoppers import RETENTION_DAYS, Shoppers
from .world import World

SEEDS = range(200)
RETENTION = timedelta(days=RETENTION_DAYS)
LONG, LONGER = timedelta(days=19), timedelta(days=21)


def some_months(seed):
    """Let people shop for months; the timer comes by at any time, also much too early."""
    world = World(seed)
    people = Shoppers(world)
    people.open_the_shop()
    people.shop(20)
    for _ in range(4):
        if world.random.random() < 0.5:
            world.settle()
        world.halt_orders(world.random.choice((LONG, LONGER)))
        for _ in range(3):
            world.delete_orders(RETENTION_DAYS)
            people.shop(3)
    world.settle()
    return world


@pytest.mark.parametrize("seed", SEEDS)
def test_every_law_holds_while_orders_are_deleted(seed):
    ledger = Ledger(some_months(seed))

    for invariant in invariants.INVARIANTS:
        invariant(ledger)
    for number, at in ledger.deleted.items():
        order = ledger.orders[number]
        assert order.status not in OPEN
        assert order.answers.keys() == order.lines.keys()
        assert at - order.history[-1].at >= RETENTION


def test_orders_of_all_ends_are_deleted_in_time_and_no_others():
    ends = Counter()
    for seed in SEEDS[:20]:
        world = some_months(seed)
        for partition in world.all():
            partition.commit()
        world.now += RETENTION
        world.delete_orders(RETENTION_DAYS)
        world.settle()
        ledger = Ledger(world)
        kept = ledger.orders.keys() - ledger.deleted.keys()
        assert all(ledger.orders[number].status in OPEN for number in kept)
        ends.update(ledger.orders[number].status for number in ledger.deleted)
        ends.update("kept" for _ in kept)

    assert min(ends[end] for end in ("failed", "paid", "cancelled", "kept")) > 10
