"""The invariants hold after a day; each violation is named."""

from collections import Counter
from datetime import timedelta
from itertools import count

import pytest
from msgspec.structs import replace

from agents.loms.stock import (
    MAX_RESERVE_AGE,
    RETENTION,
    Reservation,
    ReservationStatus,
    StockLevel,
)
from agents.ops.audit.invariants import balances, inconsistencies, total, violations
from schemas.order import PayOrder, Status
from schemas.stock import ReceiveStock
from topics.catalog import CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS

from .given import NOON
from .ledger import Ledger
from .logs import log, replay
from .test_audit_outputs import a_day

TOPICS = (CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS)


class Day:
    """A day's tables, each replayed from its logs into one partition."""

    def __init__(self, seed):
        world = a_day(seed)
        self.received = Counter()
        for wish, _ in Ledger(world).done(ReceiveStock):
            place = wish.request.sku, wish.request.warehouse_id
            self.received[place] += wish.request.count
        self.turnover = []
        self.rows = {topic: {} for topic in TOPICS}
        for partition in world.all():
            table = replay(partition)
            for record in log(partition):
                table.take(record)
            self.turnover.append(table.turnover)
            self.rows[partition.aggregate.requests] |= table.rows
        self.carts, self.orders, self.stock = self.rows.values()

    @property
    def tables(self):
        return self.carts, self.orders, self.stock, NOON

    @property
    def balances(self):
        return balances(self.stock, self.turnover)

    @property
    def wrong(self):
        """All violations."""
        return [*violations(self.balances), *inconsistencies(*self.tables)]

    @property
    def statuses(self):
        return {row.status for row in self.stock.values() if isinstance(row, Reservation)}

    def an_order(self, status):
        return next(order for order in self.orders.values() if order.status is status)

    def reservation(self, status):
        """Return a reservation of that status with its key, and the level of its sku."""
        key = next(
            key
            for key, row in self.stock.items()
            if isinstance(row, Reservation) and row.status is status and row.allocation
        )
        sku = key.partition("/")[0]
        return key, self.stock[key], sku, self.stock[sku]


@pytest.fixture
def day():
    """The first day with reservations of every status, and orders of every end."""
    return next(
        day
        for day in map(Day, count())
        if day.statuses == {*ReservationStatus}
        and {order.status for order in day.orders.values()} >= {*Status} - {Status.NEW}
    )


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_wrong_when_all_is_quiet(seed):
    assert Day(seed).wrong == []


def test_what_was_received_is_that_of_the_log(day):
    found = day.balances

    received = {place: units["received"] for place, units in found.items()}
    assert received == day.received
    assert total(found)["received"] == day.received.total()


def test_a_missing_reservation_is_named(day):
    key, _, sku, _ = day.reservation(ReservationStatus.RESERVED)
    del day.stock[key]

    assert any(f"sku {sku}, warehouse" in text for text in day.wrong)
    assert any(f"order {key.partition('/')[2]} is" in text for text in day.wrong)


def test_units_released_into_another_warehouse_are_named_in_both(day):
    sku, level = next(
        (key, row) for key, row in day.stock.items() if "/" not in key and row.available
    )
    warehouse, units = next(iter(level.available.items()))
    moved = {w: n for w, n in level.available.items() if w != warehouse} | {99: units}
    day.stock[sku] = replace(level, available=moved)

    text = " ".join(day.wrong)
    assert f"sku {sku}, warehouse {warehouse}: received" in text
    assert f"sku {sku}, warehouse 99: received 0" in text


def test_units_that_are_sold_and_still_reserved_are_named(day):
    _, reservation, sku, level = day.reservation(ReservationStatus.SOLD)
    (warehouse, units), *_ = reservation.allocation.items()
    there = level.reserved.get(warehouse, 0)
    day.stock[sku] = StockLevel(
        level.available, {**level.reserved, warehouse: there + units}
    )

    text = " ".join(day.wrong)
    assert f"sku {sku}, warehouse {warehouse}: reserved {there + units}, but" in text


def test_a_negative_balance_is_named(day):
    sku = next(key for key in day.stock if "/" not in key)
    day.stock[sku] = StockLevel({5: -1}, {})

    assert any("negative" in text for text in day.wrong)


@pytest.mark.parametrize(
    ("status", "claimed"),
    [
        (Status.PAID, Status.CANCELLED),
        (Status.CANCELLED, Status.PAID),
        (Status.FAILED, Status.AWAITING_PAYMENT),
        (Status.PAID, Status.NEW),
    ],
)
def test_an_order_that_contradicts_its_reservations_is_named(day, status, claimed):
    order = day.an_order(status)
    last = replace(order.history[-1], status=claimed)
    day.orders[str(order.order_id)] = replace(order, history=(*order.history[:-1], last))

    assert any(f"order {order.order_id} is {claimed}" in text for text in day.wrong)


def test_an_order_with_a_message_in_flight_is_not_checked(day):
    order = day.an_order(Status.PAID)
    last = replace(order.history[-1], status=Status.CANCELLED)
    day.orders[str(order.order_id)] = replace(order, history=(*order.history[:-1], last))
    in_flight = [None, PayOrder(order_id=order.order_id)]

    assert list(inconsistencies(*day.tables, in_flight)) == []


def test_units_of_a_missing_order_are_named(day):
    order = day.an_order(Status.PAID)
    del day.orders[str(order.order_id)]

    assert any(f"sold for order {order.order_id}" in text for text in day.wrong)


def test_the_order_of_an_older_sale_may_be_deleted(day):
    key, _, _, _ = day.reservation(ReservationStatus.SOLD)
    number = key.partition("/")[2]
    del day.orders[number]

    def wrong(now):
        return [w for w in inconsistencies(*day.tables[:3], now) if f"order {number}" in w]

    sold = [row.at for row_key, row in day.stock.items() if row_key.endswith(f"/{number}")]
    assert wrong(min(sold) + MAX_RESERVE_AGE)
    assert not wrong(max(sold) + RETENTION)


def test_the_order_of_a_held_reservation_is_never_deleted(day):
    key, _, _, _ = day.reservation(ReservationStatus.RESERVED)
    del day.orders[key.partition("/")[2]]

    assert list(inconsistencies(*day.tables[:3], NOON + 999 * RETENTION))


def test_a_purchase_that_will_never_end_is_named(day):
    user, cart = next(iter(day.carts.items()))
    day.carts[user] = replace(cart, checkouts={"key:never": {1: 1}})

    assert any(f"user {user} waits for purchase key:never" in text for text in day.wrong)


# Reservations that have expired


def test_a_reservation_may_be_deleted_a_day_after_its_order_is_over(day):
    key, _, _, _ = day.reservation(ReservationStatus.SOLD)
    del day.stock[key]
    over_at = day.orders[key.partition("/")[2]].history[-1].at
    text = f"order {key.partition('/')[2]} is paid"

    def wrong(now):
        return [w for w in inconsistencies(*day.tables[:3], now) if text in w]

    assert wrong(over_at + RETENTION - timedelta(seconds=1))
    assert not wrong(over_at + RETENTION)
    assert list(violations(day.balances)) == []  # what it wrote off was counted


def test_a_refusal_may_be_deleted_a_day_later_though_its_order_failed_in_between(day):
    """The answer to another line came late."""
    order = day.an_order(Status.FAILED)
    number, new = str(order.order_id), order.history[0]
    refused = [key for sku in order.lines if (key := f"{sku}/{number}") in day.stock]
    for key in refused:
        del day.stock[key]
    failed = replace(order.history[-1], at=new.at + timedelta(hours=2))
    day.orders[number] = replace(order, history=(new, failed))
    text = f"order {number} is failed"

    def wrong(now):
        return [w for w in inconsistencies(*day.tables[:3], now) if text in w]

    assert wrong(new.at + RETENTION - timedelta(seconds=1))
    assert not wrong(new.at + RETENTION)


def test_a_late_commands_entry_is_not_the_orders(day):
    key, sold, _, _ = day.reservation(ReservationStatus.SOLD)
    over_at = day.orders[key.partition("/")[2]].history[-1].at
    for late, found in ((MAX_RESERVE_AGE, 1), (RETENTION, 0)):
        refused = Reservation(ReservationStatus.REFUSED, {}, over_at + late)
        day.stock[key] = refused
        assert len(list(inconsistencies(*day.tables))) == found
    assert sold.allocation


def test_a_held_reservation_is_never_missed(day):
    key, _, _, _ = day.reservation(ReservationStatus.RESERVED)
    del day.stock[key]

    assert list(inconsistencies(*day.tables[:3], NOON + 999 * RETENTION))


def test_skus_of_a_cut_log_have_no_turnover(day):
    skus = {sku for sku, _ in day.balances}

    found = balances(day.stock)
    assert list(violations(found))
    assert list(violations(found, skus)) == []
