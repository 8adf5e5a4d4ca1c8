"""The shop as a whole, under shuffled, doubled and repeated delivery and crashes."""

from collections import Counter

import pytest

from agents.checkout import cart as carts
from agents.loms import order
from schemas.cart import EraseCart
from schemas.contract import SHARDS, Code, Item, Refused
from schemas.order import AnonymizeOrder, CreateOrder, OrderPlaced, Status, order_id
from schemas.stock import ReceiveStock

from . import invariants
from .ledger import Ledger
from .shoppers import USERS, Shoppers
from .world import World

SEEDS = range(200)
REQUESTS = 40


def a_day(seed):
    """Let people shop until all is quiet."""
    world = World(seed)
    people = Shoppers(world)
    people.open_the_shop()
    people.shop(REQUESTS)
    world.settle()
    return Ledger(world)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_law_holds_whatever_the_order_of_delivery(seed):
    ledger = a_day(seed)

    for invariant in invariants.INVARIANTS:
        invariant(ledger)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_piece_is_lost_where_people_are_forgotten_while_they_shop(seed):
    world = World(seed)
    people = Shoppers(world)
    people.open_the_shop()
    for _ in range(REQUESTS // 4):
        people.shop(4)
        world.ask(EraseCart(user=world.random.choice(USERS)))
        for number in [*world.events][-3:]:
            world.ask(AnonymizeOrder(order_id=number))
    world.settle()

    for invariant in invariants.OF_GOODS:
        invariant(Ledger(world))


def test_whoever_is_forgotten_when_all_is_quiet_is_forgotten_for_good():
    erased = 0
    for seed in SEEDS[:25]:
        world = a_day(seed).world
        for user in USERS:
            world.ask(EraseCart(user=user))
        for number in world.events:
            world.ask(AnonymizeOrder(order_id=number))
        world.settle()
        ledger = Ledger(world)
        assert not ledger.carts
        assert ledger.live == ledger.replayed
        over = [o for o in ledger.orders.values() if o.status not in order.OPEN]
        assert all(each.anonymized for each in over)
        erased += len(over)

    assert erased > 25


def test_the_days_are_eventful_enough_to_mean_something():
    seen = Counter()
    for seed in SEEDS[:50]:
        ledger = a_day(seed)
        seen.update(order.status for order in ledger.orders.values())
        answers = (a for replies in ledger.world.replies.values() for a in replies)
        seen.update(answer.code for answer in answers if isinstance(answer, Refused))
        seen.update("returned" for changes in ledger.returns.values() if changes[0].delta)
        seen.update("again" for answers in ledger.world.replies.values() if answers[1:])

    assert {*Status, "returned", "again"} - {Status.NEW} <= seen.keys()
    assert {
        Code.CART_EMPTY,
        Code.COUNT_TOO_LARGE,
        Code.INSUFFICIENT_STOCK,
        Code.KEY_REUSED,
        Code.UNKNOWN_ORDER,
        Code.WRONG_STATUS,
    } <= seen.keys()


@pytest.mark.parametrize("seed", SEEDS[:30])
def test_purchases_whose_order_id_is_taken_get_their_lines_back(seed, monkeypatch):
    def one_of_two(user, request_id):
        digest = order_id(user, request_id) // SHARDS
        return digest % 2 * SHARDS + user % SHARDS

    monkeypatch.setattr(carts, "order_id", one_of_two)
    monkeypatch.setattr(order, "order_id", one_of_two)
    ledger = a_day(seed)

    invariants.nothing_is_in_flight(ledger)
    invariants.goods_are_conserved(ledger)
    invariants.stock_agrees_with_orders(ledger)
    invariants.a_replay_comes_to_the_same_rows(ledger)
    taken = {order.request_id for order in ledger.orders.values()}
    for (_, purchase), returns in ledger.returns.items():
        if f"purchase:{purchase}" not in taken:
            assert all(change.delta for change in returns)


@pytest.mark.parametrize("seed", SEEDS[:30])
def test_who_hears_of_a_failed_order_finds_its_goods_free(seed):
    world = World(seed, delays=0)
    world.ask(ReceiveStock(sku=1, warehouse_id=7, count=1))
    world.settle()
    both = CreateOrder(user=1, items=(Item(sku=1, count=1), Item(sku=2, count=1)))
    origin = world.ask(both)
    while not world.replies[origin]:
        world.step()

    again = world.ask(CreateOrder(user=2, items=(Item(sku=1, count=1),)))
    world.settle()

    ledger = Ledger(world)
    (placed,) = set(world.replies[again])
    assert isinstance(placed, OrderPlaced)
    assert Status.AWAITING_PAYMENT is ledger.orders[placed.order_id].status
