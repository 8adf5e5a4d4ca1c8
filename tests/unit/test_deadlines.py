"""Expirations of unpaid orders."""

from datetime import UTC, datetime, timedelta

import pytest

from agents.loms.order import Order, StatusChange
from agents.loms.payment_deadlines import PaymentDeadlines, awaiting_since
from agents.loms.service import ORDER_AGGREGATE
from schemas.order import ExpireOrder, Status

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TIME_TO_PAY = timedelta(minutes=10)
DUE = NOON + TIME_TO_PAY
A_BIT = timedelta(milliseconds=1)
EXPIRATION = ExpireOrder(order_id=1, unpaid_seconds=600)


def order(status: Status) -> Order:
    return Order(1, 7, "key", {1: 2}, (StatusChange(status, NOON, "me"),))


@pytest.fixture
def there() -> dict[str, Order]:
    """The orders as they stand."""
    return {"1": order(Status.AWAITING_PAYMENT)}


@pytest.fixture
def deadlines(there: dict[str, Order]) -> PaymentDeadlines:
    made = PaymentDeadlines(TIME_TO_PAY, lambda _, key: there.get(key))
    made.schedule(0, "1", there["1"])
    return made


def test_the_time_to_pay_runs_from_the_records_own_time(deadlines: PaymentDeadlines):
    assert list(deadlines.overdue(DUE - A_BIT)) == []
    assert list(deadlines.overdue(DUE)) == [EXPIRATION]


def test_an_order_is_expired_again_until_it_has_decided_but_once_a_second(
    deadlines: PaymentDeadlines,
):
    sent = [list(deadlines.overdue(DUE + timedelta(seconds=s / 4))) for s in range(9)]
    assert [len(each) for each in sent] == [1, 0, 0, 0, 1, 0, 0, 0, 1]


def test_an_order_that_was_paid_meanwhile_is_not_expired(
    deadlines: PaymentDeadlines, there: dict[str, Order]
):
    there["1"] = order(Status.PAID)
    assert list(deadlines.overdue(DUE)) == []
    there["1"] = order(Status.AWAITING_PAYMENT)
    assert list(deadlines.overdue(DUE)) == []  # it was dropped


def test_an_order_of_a_revoked_partition_is_not_expired(
    deadlines: PaymentDeadlines,
):
    deadlines.clear()
    assert list(deadlines.overdue(DUE)) == []


@pytest.mark.parametrize("status", Status)
def test_a_row_has_since_when_its_order_awaits_payment(status: Status):
    begun = StatusChange(Status.AWAITING_PAYMENT, NOON - A_BIT, "me")
    there = Order(1, 7, "key", {1: 2}, (begun, StatusChange(status, NOON, "me")))
    awaits = status is Status.AWAITING_PAYMENT
    row = ORDER_AGGREGATE.adapters[0].dump_json(there)
    assert awaiting_since(row) == (NOON if awaits else None)
    newer = row[:-1] + b',"unknown":{"status":1,"at":2}}'
    assert awaiting_since(newer) == awaiting_since(row)


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.AWAITING_PAYMENT}))
def test_only_orders_that_await_payment_have_deadlines(
    status: Status, there: dict[str, Order]
):
    deadlines = PaymentDeadlines(TIME_TO_PAY, lambda _, key: there.get(key))
    deadlines.schedule(0, "1", order(status))
    assert list(deadlines.overdue(DUE)) == []
