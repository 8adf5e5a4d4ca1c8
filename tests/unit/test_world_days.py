"""The shop while hours and days pass, and expired rows are deleted at any instant."""

from collections import Counter
from datetime import timedelta

import pytest

from agents.checkout.cart import Cart
from agents.loms.stock import Receipt, Reservation

from . import invariants
from .ledger import Ledger
from .shoppers import Shoppers
from .world import World

SEEDS = range(200)
LEAPS = 9  # up to 18 days: less than an empty cart is kept


def some_days(seed):
    """Let people shop for days; months later, they shop on."""
    world = World(seed, leaps=LEAPS)
    people = Shoppers(world)
    people.open_the_shop()
    people.shop(40)
    world.settle()
    if seed % 3 == 0:
        for _ in range(2):
            for partition in world.all():
                partition.commit()  # else a repeat would find the next cart of its user
            world.now += timedelta(days=31)
            people.shop(12)
            world.settle()
    return world


@pytest.mark.parametrize("seed", SEEDS)
def test_every_law_holds_while_rows_expire(seed):
    ledger = Ledger(some_days(seed))

    for invariant in invariants.INVARIANTS:
        invariant(ledger)


def test_rows_of_all_kinds_expire_and_are_deleted():
    gone = Counter()
    for seed in range(0, 30, 3):
        world = some_days(seed)
        ledger = Ledger(world)
        for partition in world.all():
            rows = ledger.everything[partition.name]
            absent = rows.keys() - partition.rows.keys()
            gone.update(type(partition.decode(name, rows[name])) for name in absent)

    assert {Reservation, Receipt, Cart} <= gone.keys()
