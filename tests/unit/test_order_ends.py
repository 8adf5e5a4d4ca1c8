"""Ends of an order: paid, cancelled, or expired."""

from datetime import timedelta

import pytest

from agents.loms.service import ORDER_AGGREGATE
from schemas.contract import Code, Done
from schemas.order import (
    MAX_TIMEOUT_SECONDS,
    CancelOrder,
    ExpireOrder,
    PayOrder,
    Status,
    StockReserved,
)
from schemas.stock import Release, Sell

from .given import NOON, by, given
from .test_order import (
    AWAITING,
    CREATE,
    FAILED,
    ID,
    LAMP,
    LAMP_NO,
    LAMP_YES,
    NEW,
    PLACED,
    SOFA,
    SOFA_YES,
    answer,
    event,
    status,
)

PAY, CANCEL = PayOrder(order_id=ID), CancelOrder(order_id=ID)
EXPIRE = ExpireOrder(order_id=ID, unpaid_seconds=600)
IN_TIME, TOO_LATE = timedelta(seconds=599.999), timedelta(seconds=600)
SELLS = (Sell(sku=LAMP, order_id=ID), Sell(sku=SOFA, order_id=ID))
RELEASES = (Release(sku=LAMP, order_id=ID), Release(sku=SOFA, order_id=ID))
PAID = (*AWAITING, by(PAY, "payer"))
CANCELLED = (*AWAITING, by(CANCEL, "canceller"))
EXPIRED = (*AWAITING, by(EXPIRE, "timer", at=TOO_LATE))
CANCELLED_WHILE_NEW = (*NEW, LAMP_YES, by(CANCEL, "canceller"))


# orderPayed


def test_a_payment_writes_off_the_reserved_units():
    outcome = (
        given(ORDER_AGGREGATE, *AWAITING)
        .when(PAY)
        .sending(*SELLS, event(Status.PAID), Done())
    )

    assert Status.PAID is status(outcome)


def test_a_second_payment_is_done_without_events():
    given(ORDER_AGGREGATE, *PAID).when(PAY).then_nothing().sending(Done())


@pytest.mark.parametrize("past", [NEW, FAILED, CANCELLED, EXPIRED, CANCELLED_WHILE_NEW])
def test_only_an_order_that_awaits_payment_can_be_paid(past):
    given(ORDER_AGGREGATE, *past).when(PAY).then_refused(Code.WRONG_STATUS)


# cancelOrder


def test_a_cancellation_releases_every_reservation():
    outcome = (
        given(ORDER_AGGREGATE, *AWAITING)
        .when(CANCEL)
        .sending(*RELEASES, event(Status.CANCELLED), Done())
    )

    assert Status.CANCELLED is status(outcome)


def test_a_new_order_can_be_cancelled_whatever_stock_has_answered_yet():
    outcome = (
        given(ORDER_AGGREGATE, *NEW, LAMP_YES)
        .when(CANCEL)
        .sending(*RELEASES, event(Status.CANCELLED), Done())
    )

    assert Status.CANCELLED is status(outcome)


@pytest.mark.parametrize("past", [CANCELLED, CANCELLED_WHILE_NEW, EXPIRED])
def test_a_second_cancellation_is_done_without_events(past):
    given(ORDER_AGGREGATE, *past).when(CANCEL).then_nothing().sending(Done())


@pytest.mark.parametrize("past", [PAID, FAILED])
def test_a_paid_or_failed_order_cannot_be_cancelled(past):
    given(ORDER_AGGREGATE, *past).when(CANCEL).then_refused(Code.WRONG_STATUS)


@pytest.mark.parametrize("last", [SOFA_YES, answer(SOFA, yes=False)])
def test_the_last_answer_after_a_cancellation_sends_the_reply(last):
    outcome = given(ORDER_AGGREGATE, *CANCELLED_WHILE_NEW).when(last).sending(PLACED)

    assert Status.CANCELLED is status(outcome)


def test_a_late_answer_of_stock_does_not_revive_a_cancelled_order():
    outcome = given(ORDER_AGGREGATE, *NEW, by(CANCEL)).when(LAMP_NO).sending_nothing()

    assert Status.CANCELLED is status(outcome)


# The ten minutes


def test_an_order_unpaid_for_ten_minutes_is_cancelled():
    at = NOON + TOO_LATE

    outcome = (
        given(ORDER_AGGREGATE, *AWAITING)
        .when(EXPIRE, at=TOO_LATE)
        .sending(*RELEASES, event(Status.CANCELLED, at))
    )

    assert Status.CANCELLED is status(outcome)


def test_an_order_cannot_expire_before_its_time():
    given(ORDER_AGGREGATE, *AWAITING).when(
        EXPIRE, at=IN_TIME
    ).then_nothing().sending_nothing()


def test_the_ten_minutes_run_from_when_it_began_to_await_payment():
    a_minute = timedelta(minutes=1)
    last = by(StockReserved(order_id=ID, sku=SOFA, reserved=True), "it", at=a_minute)
    order = given(ORDER_AGGREGATE, *NEW, LAMP_YES, last)

    order.when(EXPIRE, at=a_minute + IN_TIME).then_nothing()
    assert Status.CANCELLED is status(order.when(EXPIRE, at=a_minute + TOO_LATE))


def test_the_time_to_pay_is_that_of_the_request():
    soon = ExpireOrder(order_id=ID, unpaid_seconds=3)

    outcome = given(ORDER_AGGREGATE, *AWAITING).when(soon, at=timedelta(seconds=3))

    assert Status.CANCELLED is status(outcome)


def test_the_longest_time_to_pay_is_no_overflow():
    longest = ExpireOrder(order_id=ID, unpaid_seconds=MAX_TIMEOUT_SECONDS)

    given(ORDER_AGGREGATE, *AWAITING).when(
        longest, at=TOO_LATE
    ).then_nothing().sending_nothing()


@pytest.mark.parametrize("past", [NEW, FAILED, PAID, CANCELLED])
def test_only_an_order_that_awaits_payment_can_expire(past):
    given(ORDER_AGGREGATE, *past).when(EXPIRE, at=TOO_LATE).then_nothing().sending_nothing()


def test_a_second_expiration_changes_and_sends_nothing():
    given(ORDER_AGGREGATE, *EXPIRED).when(
        EXPIRE, at=TOO_LATE * 2
    ).then_nothing().sending_nothing()


@pytest.mark.parametrize("request_", [PAY, CANCEL])
def test_an_order_that_was_never_created_can_not_end(request_):
    given(ORDER_AGGREGATE).when(request_, at=TOO_LATE).then_refused(Code.UNKNOWN_ORDER)


# One request, one effect


@pytest.mark.parametrize(
    ("request_", "commands", "end"),
    [(PAY, SELLS, Status.PAID), (CANCEL, RELEASES, Status.CANCELLED)],
)
def test_a_redelivered_record_sends_the_same_again(request_, commands, end):
    order = given(ORDER_AGGREGATE, *AWAITING, by(request_, "it again"))

    order.when(request_, seen=True, origin="it again").then_nothing().sending(
        *commands, event(end), Done()
    )


@pytest.mark.parametrize(
    ("request_", "other"), [(PAY, CANCEL), (CANCEL, PAY)], ids=["paid", "cancelled"]
)
def test_a_key_with_another_request_about_the_order_is_refused(request_, other):
    order = given(ORDER_AGGREGATE, *AWAITING, by(request_, key="k"))

    order.when(request_, key="k").then_nothing().sending(Done())
    order.when(other, key="k").then_refused(Code.KEY_REUSED)


def test_a_refused_request_is_decided_again_for_a_new_attempt():
    order = given(ORDER_AGGREGATE, *NEW, by(PAY, key="k"), LAMP_YES, SOFA_YES)

    assert Status.PAID is status(order.when(PAY, key="k"))


def test_a_refused_record_is_refused_again_when_redelivered():
    order = given(ORDER_AGGREGATE, *NEW, by(PAY, "it"), LAMP_YES, SOFA_YES)

    order.when(PAY, seen=True, origin="it").then_refused(Code.WRONG_STATUS)


def test_a_creation_redelivered_after_the_end_receives_its_id_and_reserves_nothing():
    given(ORDER_AGGREGATE, *CANCELLED_WHILE_NEW).when(
        CREATE, seen=True
    ).then_nothing().sending(event(Status.NEW), PLACED)
