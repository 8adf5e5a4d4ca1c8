"""Orders up to their settlement; `test_order_ends` has their ends."""

import pytest

from agents.loms.service import ORDER_AGGREGATE
from schemas.cart import OrderSettled
from schemas.contract import SHARDS, Code, Item
from schemas.order import (
    CancelOrder,
    CreateOrder,
    OrderPlaced,
    OrderStatusChanged,
    Status,
    StockReserved,
    order_id,
)
from schemas.stock import Release, Reserve

from .given import NOON, by, given

USER, LAMP, SOFA = 42, 1, 2
ITEMS = (Item(sku=LAMP, count=2), Item(sku=SOFA, count=1))
CREATE = by(CreateOrder(user=USER, items=ITEMS), "it", key="k")
ID = order_id(USER, "key:k")
RESERVES = (
    Reserve(sku=LAMP, order_id=ID, count=2, at=NOON),
    Reserve(sku=SOFA, order_id=ID, count=1, at=NOON),
)
PLACED = OrderPlaced(order_id=ID)


def answer(sku, yes=True, origin="it"):
    return by(StockReserved(order_id=ID, sku=sku, reserved=yes), origin, key="k")


def event(status, at=NOON):
    return OrderStatusChanged(order_id=ID, user=USER, status=status, items=ITEMS, at=at)


LAMP_YES, LAMP_NO = answer(LAMP), answer(LAMP, yes=False)
SOFA_YES, SOFA_NO = answer(SOFA), answer(SOFA, yes=False)
NEW = (CREATE,)
AWAITING = (CREATE, LAMP_YES, SOFA_YES)
FAILED = (CREATE, LAMP_YES, SOFA_NO)


def status(outcome):
    return outcome.after.status


# createOrder


def test_a_new_order_reserves_every_line_and_has_no_reply_yet():
    outcome = given(ORDER_AGGREGATE).when(CREATE).sending(event(Status.NEW), *RESERVES)

    assert Status.NEW is status(outcome)


def test_lines_of_the_same_sku_are_one_line():
    twice = CreateOrder(user=USER, items=(*reversed(ITEMS), ITEMS[0]))

    outcome = given(ORDER_AGGREGATE).when(twice, key="k")

    assert [(LAMP, 4), (SOFA, 1)] == list(outcome.after.lines.items())


def test_a_retry_of_a_new_order_reserves_again_and_sends_no_event_again():
    given(ORDER_AGGREGATE, *NEW).when(CREATE.request, key="k").then_nothing().sending(
        *RESERVES
    )


@pytest.mark.parametrize("past", [AWAITING, FAILED, (*NEW, CancelOrder(order_id=ID))])
def test_a_retry_of_a_settled_order_receives_its_id(past):
    given(ORDER_AGGREGATE, *past).when(CREATE.request, key="k").then_nothing().sending(
        PLACED
    )


def test_a_key_with_other_items_is_refused():
    other = CreateOrder(user=USER, items=ITEMS[:1])

    given(ORDER_AGGREGATE, *AWAITING).when(other, key="k").then_nothing().then_refused(
        Code.KEY_REUSED
    )


def test_an_order_is_never_overwritten_by_another_request_of_the_same_id():
    given(ORDER_AGGREGATE, *AWAITING).when(
        CREATE.request, key="other"
    ).then_nothing().then_refused(Code.UNAVAILABLE)


def test_an_order_is_never_overwritten_by_another_user_of_the_same_shard():
    other = CreateOrder(user=USER + SHARDS, items=ITEMS)

    given(ORDER_AGGREGATE, *AWAITING).when(other, key="k").then_nothing().then_refused(
        Code.UNAVAILABLE
    )


# Answers of stock


def test_an_order_waits_for_every_answer():
    outcome = given(ORDER_AGGREGATE, *NEW).when(LAMP_NO).sending_nothing()

    assert Status.NEW is status(outcome)


@pytest.mark.parametrize(("first", "last"), [(LAMP_YES, SOFA_YES), (SOFA_YES, LAMP_YES)])
def test_an_order_with_every_line_reserved_awaits_payment(first, last):
    outcome = (
        given(ORDER_AGGREGATE, *NEW, first)
        .when(last)
        .sending(event(Status.AWAITING_PAYMENT), PLACED)
    )

    assert Status.AWAITING_PAYMENT is status(outcome)


@pytest.mark.parametrize(
    ("first", "last", "back"),
    [(LAMP_YES, SOFA_NO, LAMP), (SOFA_NO, LAMP_YES, LAMP), (LAMP_NO, SOFA_YES, SOFA)],
)
def test_one_line_that_cannot_be_reserved_fails_the_order_and_frees_the_rest(
    first, last, back
):
    outcome = (
        given(ORDER_AGGREGATE, *NEW, first)
        .when(last)
        .sending(Release(sku=back, order_id=ID), event(Status.FAILED), PLACED)
    )

    assert Status.FAILED is status(outcome)


def test_an_order_without_a_reserved_line_releases_nothing():
    given(ORDER_AGGREGATE, *NEW, LAMP_NO).when(SOFA_NO).sending(
        event(Status.FAILED), PLACED
    )


def test_an_answer_delivered_twice_does_not_count_twice():
    outcome = (
        given(ORDER_AGGREGATE, *NEW, LAMP_YES)
        .when(LAMP_YES)
        .then_nothing()
        .sending_nothing()
    )

    assert Status.NEW is status(outcome)


def test_an_answer_for_a_sku_outside_the_order_is_ignored():
    given(ORDER_AGGREGATE, *NEW).when(answer(3)).then_nothing().sending_nothing()


def test_a_redelivered_last_answer_sends_the_same_again():
    given(ORDER_AGGREGATE, *FAILED).when(SOFA_NO).then_nothing().sending(
        Release(sku=LAMP, order_id=ID), event(Status.FAILED), PLACED
    )


def test_the_last_answer_to_a_retry_has_a_reply_and_no_second_event():
    retry = answer(SOFA, yes=False, origin="retry")

    given(ORDER_AGGREGATE, *FAILED).when(retry).then_nothing().sending(PLACED)


def test_an_earlier_answer_delivered_again_leaves_the_reply_to_the_last():
    given(ORDER_AGGREGATE, *AWAITING).when(LAMP_YES).then_nothing().sending_nothing()


# An order that came from a cart


def from_cart(request, origin="it"):
    return by(request, origin, key="k", purchase="key:k")


@pytest.mark.parametrize(
    ("last", "end"), [(True, Status.AWAITING_PAYMENT), (False, Status.FAILED)]
)
def test_the_cart_receives_the_outcome_of_its_order_and_replies_itself(last, end):
    begun = given(ORDER_AGGREGATE, from_cart(CREATE.request))
    name = begun.state.order_id
    answers = [
        from_cart(StockReserved(order_id=name, sku=sku, reserved=yes))
        for sku, yes in ((LAMP, True), (SOFA, last))
    ]
    outcome = given(ORDER_AGGREGATE, answers[0], state=begun.state).when(answers[1])
    settled = OrderSettled(user=USER, purchase="key:k", order_id=name, status=end)

    assert settled == outcome.sent[-1]
    assert PLACED not in outcome.sent


def test_a_cart_whose_order_id_another_request_has_receives_no_order():
    settled = OrderSettled(user=USER, purchase="key:k", order_id=None, status=None)

    outcome = (
        given(ORDER_AGGREGATE, *AWAITING).when(from_cart(CREATE.request)).then_nothing()
    )

    assert [settled] == outcome.sent
