"""Expirations of unpaid orders."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest

from agents.loms.order import Order, StatusChange
from agents.loms.payment_deadlines import PaymentDeadlines, payment_index
from agents.loms.service import ORDER_AGGREGATE
from agents.runtime.changelog import recover
from agents.runtime.rows import Row
from agents.runtime.state_store import StateStore
from schemas.order import ExpireOrder, Status

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TIME_TO_PAY = timedelta(minutes=10)
DUE = NOON + TIME_TO_PAY
A_BIT = timedelta(milliseconds=1)
EXPIRATION = ExpireOrder(order_id=1, unpaid_seconds=600)


def order(status: Status, number: int = 1, at: datetime = NOON) -> Order:
    awaits = StatusChange(Status.AWAITING_PAYMENT, at, "me")
    if status is Status.AWAITING_PAYMENT:
        return Order(number, 7, "key", {1: 2}, (awaits,))
    return Order(number, 7, "key", {1: 2}, (awaits, StatusChange(status, at, "me")))


@dataclass
class Shop:
    """A store of orders, and their deadlines."""

    store: StateStore
    deadlines: PaymentDeadlines

    def put(self, order: Order, offset: int = 1) -> None:
        """Store an order, as the changelog acknowledges it."""
        key, row = (
            str(order.order_id).encode(),
            ORDER_AGGREGATE.serdes[0].serialize(order),
        )
        write = self.store.put(0, {key: row}, offset)
        end = self.store.offsets[0].stored.changelog_offset + 1
        self.store.commit(write, end, time.time())

    def overdue(self, now: datetime) -> list[ExpireOrder]:
        return list(self.deadlines.overdue(self.store, now))


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Shop]:
    store = StateStore(tmp_path / "orders", "here", payment_index)
    store.load(0)
    store.active.add(0)
    yield Shop(store, PaymentDeadlines(TIME_TO_PAY))
    store.close()


@pytest.fixture
def shop(empty: Shop) -> Shop:
    """A shop with one order that awaits payment."""
    empty.put(order(Status.AWAITING_PAYMENT))
    return empty


def test_the_time_to_pay_runs_from_the_records_own_time(shop: Shop):
    assert shop.overdue(DUE - A_BIT) == []
    assert shop.overdue(DUE) == [EXPIRATION]


def test_an_order_is_expired_again_until_it_has_decided_but_once_a_second(shop: Shop):
    sent = [shop.overdue(DUE + timedelta(seconds=s / 4)) for s in range(9)]
    assert [len(each) for each in sent] == [1, 0, 0, 0, 1, 0, 0, 0, 1]


def test_an_order_that_was_paid_meanwhile_is_not_expired(shop: Shop):
    shop.put(order(Status.PAID))
    assert shop.overdue(DUE) == []
    shop.store.load(0)
    shop.store.active.add(0)
    assert list(shop.store.due(0, b"~")) == []


def test_an_order_that_decided_is_not_expired_again(shop: Shop):
    assert shop.overdue(DUE) == [EXPIRATION]
    shop.put(order(Status.CANCELLED))
    assert shop.overdue(DUE + timedelta(seconds=1)) == []
    shop.store.load(0)
    shop.store.active.add(0)
    assert list(shop.store.due(0, b"~")) == []


def test_an_order_of_a_revoked_partition_is_not_expired(shop: Shop):
    assert shop.overdue(DUE) == [EXPIRATION]
    shop.put(order(Status.AWAITING_PAYMENT, number=2))
    shop.store.release(0)
    assert shop.overdue(DUE + timedelta(seconds=1)) == []


def test_recovered_orders_are_expired(shop: Shop):
    assert shop.overdue(DUE) == [EXPIRATION]
    shop.store.load(0)
    shop.store.active.add(0)
    assert shop.overdue(DUE + A_BIT) == []  # within a second of the first one
    assert shop.overdue(DUE + timedelta(seconds=1)) == [EXPIRATION]
    row = ORDER_AGGREGATE.serdes[0].serialize(order(Status.AWAITING_PAYMENT, number=3))
    recover(shop.store, 0, [Row(b"3", row, 2)], 2)
    assert [sent.order_id for sent in shop.overdue(DUE + timedelta(seconds=1.5))] == [3]


def test_an_order_that_begins_to_wait_behind_others_has_its_deadline(shop: Shop):
    """Its record has an older time, or it is acknowledged after the others are due."""
    shop.put(order(Status.AWAITING_PAYMENT, number=2, at=NOON + timedelta(hours=1)))
    assert shop.overdue(DUE) == [EXPIRATION]
    shop.put(order(Status.AWAITING_PAYMENT, number=3, at=NOON - timedelta(minutes=1)))
    assert [sent.order_id for sent in shop.overdue(DUE + A_BIT)] == [3]


def test_an_order_is_not_due_before_the_changelog_has_it(empty: Shop):
    row = ORDER_AGGREGATE.serdes[0].serialize(order(Status.AWAITING_PAYMENT))
    write = empty.store.put(0, {b"1": row}, 1)
    assert empty.overdue(DUE) == []
    empty.store.commit(write, 1, time.time())
    assert empty.overdue(DUE) == [EXPIRATION]


def test_the_excess_of_due_orders_is_sent_later(empty: Shop):
    for number in range(1, 8):
        empty.put(order(Status.AWAITING_PAYMENT, number=number))
    sent = [
        [s.order_id for s in islice(empty.deadlines.overdue(empty.store, DUE), 3)]
        for _ in range(4)
    ]
    assert sent == [[1, 2, 3], [4, 5, 6], [7], []]


@pytest.mark.parametrize("status", Status)
def test_a_row_has_since_when_its_order_awaits_or_awaited_payment(status: Status):
    new = StatusChange(Status.NEW, NOON - 2 * A_BIT, "me")
    awaited = StatusChange(Status.AWAITING_PAYMENT, NOON - A_BIT, "me")
    history = (new, awaited, StatusChange(status, NOON, "me"))
    if status is Status.AWAITING_PAYMENT:
        history = history[:2]
    row = ORDER_AGGREGATE.serdes[0].serialize(Order(1, 7, "key", {1: 2}, history))
    value = payment_index(row)
    at = (NOON - A_BIT).timestamp()
    assert value == (b"%016d" % round(at * 1e6), status is Status.AWAITING_PAYMENT)
    newer = row[:-1] + b',"unknown":{"status":1,"at":2}}'
    assert payment_index(newer) == value


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.AWAITING_PAYMENT}))
def test_only_orders_that_await_payment_have_deadlines(status: Status, empty: Shop):
    empty.put(order(status))
    assert list(empty.store.due(0, b"~")) == []
