"""The books of a day balance; each way in which they might not is told."""

from collections import Counter
from dataclasses import replace
from itertools import count

import pytest

from agents.loms.stock import Reservation, ReservationStatus, StockLevel
from agents.ops.audit.invariants import balances, put_in, total, violations
from agents.ops.audit.verdict import InFlight, Tables, inconsistencies
from schemas.order import Status
from topics.catalog import CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS

from .logs import log, replay
from .test_audit_promises import a_day

TOPICS = (CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS)
NOBODY = InFlight([])


class Day:
    """A day's tables, each folded from its logs into one partition."""

    def __init__(self, seed):
        world = a_day(seed)
        self.received = Counter()
        self.rows = {topic: {} for topic in TOPICS}
        for partition in world.all():
            folding = replay(partition)
            for turn in map(folding.take, log(partition)):
                self.received.update(put_in(turn))
            self.rows[partition.aggregate.requests] |= folding.rows
        self.carts, self.orders, self.stock = self.rows.values()

    @property
    def tables(self):
        return Tables([self.carts], [self.orders], [self.stock])

    @property
    def wrong(self):
        """What the books and the tables together have to complain about."""
        books = violations(balances(self.stock, self.received))
        return [*books, *inconsistencies(self.tables, NOBODY)]

    @property
    def fates(self):
        return {row.status for row in self.stock.values() if isinstance(row, Reservation)}

    def an_order(self, status):
        return next(order for order in self.orders.values() if order.status is status)

    def entry(self, fate):
        """Return an entry of that fate with its key, and the shelf beside it."""
        key = next(
            key
            for key, row in self.stock.items()
            if isinstance(row, Reservation) and row.status is fate and row.allocation
        )
        sku = key.partition("/")[0]
        return key, self.stock[key], sku, self.stock[sku]


@pytest.fixture
def day():
    """The first day on which every fate was met."""
    return next(day for day in map(Day, count()) if day.fates == {*ReservationStatus})


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_wrong_when_all_is_quiet(seed):
    assert Day(seed).wrong == []


def test_receipts_say_what_was_received_where_the_log_does_not(day):
    assert list(violations(balances(day.stock))) == []
    assert total(balances(day.stock)).received == day.received.total()


def test_a_reservation_that_was_forgotten_is_named(day):
    key, _, sku, _ = day.entry(ReservationStatus.RESERVED)
    del day.stock[key]

    assert any(f"sku {sku}, warehouse" in text for text in day.wrong)
    assert any(f"order {key.partition('/')[2]} is" in text for text in day.wrong)


def test_goods_that_went_back_to_another_warehouse_are_missed_in_both(day):
    sku, shelf = next(
        (key, row) for key, row in day.stock.items() if "/" not in key and row.available
    )
    warehouse, pieces = next(iter(shelf.available.items()))
    moved = {w: n for w, n in shelf.available.items() if w != warehouse} | {99: pieces}
    day.stock[sku] = replace(shelf, available=moved)

    told = " ".join(day.wrong)
    assert f"sku {sku}, warehouse {warehouse}: received" in told
    assert f"sku {sku}, warehouse 99: received 0" in told


def test_goods_that_are_sold_and_still_set_aside_are_named(day):
    _, entry, sku, shelf = day.entry(ReservationStatus.SOLD)
    (warehouse, pieces), *_ = entry.allocation.items()
    there = shelf.reserved.get(warehouse, 0)
    day.stock[sku] = StockLevel(
        shelf.available, {**shelf.reserved, warehouse: there + pieces}
    )

    told = " ".join(day.wrong)
    assert f"sku {sku}, warehouse {warehouse}: reserved {there + pieces}, but" in told


def test_less_than_nothing_is_named(day):
    sku = next(key for key in day.stock if "/" not in key)
    day.stock[sku] = StockLevel({5: -1}, {})

    assert any("less than nothing" in text for text in day.wrong)


@pytest.mark.parametrize(
    ("status", "claimed"),
    [
        (Status.PAID, Status.CANCELLED),
        (Status.CANCELLED, Status.PAID),
        (Status.FAILED, Status.AWAITING_PAYMENT),
        (Status.PAID, Status.NEW),
    ],
)
def test_an_order_that_stock_knows_otherwise_is_named(day, status, claimed):
    order = day.an_order(status)
    last = replace(order.history[-1], status=claimed)
    day.orders[str(order.order_id)] = replace(order, steps=(*order.history[:-1], last))

    assert any(f"order {order.order_id} is {claimed}" in text for text in day.wrong)


def test_of_an_order_with_a_message_under_way_nothing_is_said(day):
    order = day.an_order(Status.PAID)
    last = replace(order.history[-1], status=Status.CANCELLED)
    day.orders[str(order.order_id)] = replace(order, steps=(*order.history[:-1], last))
    involved = InFlight([])
    involved.orders.add(order.order_id)

    assert list(inconsistencies(day.tables, involved)) == []


def test_goods_of_an_order_that_is_not_there_are_named(day):
    order = day.an_order(Status.PAID)
    del day.orders[str(order.order_id)]

    assert any(f"sold for order {order.order_id}" in text for text in day.wrong)


def test_a_purchase_that_will_never_end_is_named(day):
    user, cart = next(iter(day.carts.items()))
    day.carts[user] = replace(cart, checkouts={"key:never": {1: 1}})

    assert any(f"user {user} waits for purchase key:never" in text for text in day.wrong)
