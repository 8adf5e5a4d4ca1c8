"""How an order begins and settles; how it ends is in `test_order_ends`."""

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as any_

from agents.loms.service import ORDER_AGGREGATE
from schemas.cart import OrderSettled
from schemas.contract import Code, Item, Refused
from schemas.ids import SHARDS, order_id
from schemas.order import (
    CancelOrder,
    CreateOrder,
    ListOrder,
    OrderPlaced,
    OrderStatusChanged,
    OrderView,
    Status,
    StockReserved,
)
from schemas.stock import Release, Reserve

from .given import NOON, by, given

USER, LAMP, SOFA = 42, 1, 2
ITEMS = (Item(sku=LAMP, count=2), Item(sku=SOFA, count=1))
CREATE = by(CreateOrder(user=USER, items=ITEMS), "it", key="k")
ID = order_id(USER, "key:k")
RESERVES = (
    Reserve(sku=LAMP, order_id=ID, count=2),
    Reserve(sku=SOFA, order_id=ID, count=1),
)
PLACED = OrderPlaced(order_id=ID)


def answer(sku, yes=True, origin="it"):
    return by(StockReserved(order_id=ID, sku=sku, reserved=yes), origin, key="k")


def fact(status, at=NOON):
    return OrderStatusChanged(order_id=ID, user=USER, status=status, items=ITEMS, at=at)


LAMP_YES, LAMP_NO = answer(LAMP), answer(LAMP, yes=False)
SOFA_YES, SOFA_NO = answer(SOFA), answer(SOFA, yes=False)
NEW = (CREATE,)
AWAITING = (CREATE, LAMP_YES, SOFA_YES)
FAILED = (CREATE, LAMP_YES, SOFA_NO)


def status(outcome):
    return outcome.after.status


# createOrder


def test_a_new_order_asks_stock_for_every_line_and_answers_nobody_yet():
    outcome = given(ORDER_AGGREGATE).when(CREATE).saying(fact(Status.NEW), *RESERVES)

    assert Status.NEW is status(outcome)


def test_lines_of_the_same_sku_are_one_line():
    twice = CreateOrder(user=USER, items=(*reversed(ITEMS), ITEMS[0]))

    outcome = given(ORDER_AGGREGATE).when(twice, key="k")

    assert [(LAMP, 4), (SOFA, 1)] == list(outcome.after.lines.items())


def test_a_retry_while_it_is_new_asks_stock_again_and_tells_nobody_again():
    given(ORDER_AGGREGATE, *NEW).when(CREATE.request, key="k").then_nothing().saying(
        *RESERVES
    )


@pytest.mark.parametrize("past", [AWAITING, FAILED, (*NEW, CancelOrder(order_id=ID))])
def test_a_retry_of_a_settled_order_hears_its_id(past):
    given(ORDER_AGGREGATE, *past).when(CREATE.request, key="k").then_nothing().saying(
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


# The id


@for_all(user=any_.integers(-(2**63), 2**63 - 1), request_id=any_.text())
def test_an_order_id_is_exact_in_javascript_and_lies_with_its_user(user, request_id):
    name = order_id(user, request_id)

    assert 0 <= name < 2**53
    assert user % SHARDS == name % SHARDS
    assert name == order_id(user, request_id)


@pytest.mark.parametrize(
    ("user", "shard"), [(-1, 4095), (-4096, 0), (-(2**63), 0), (4097, 1)]
)
def test_the_shard_of_a_user_is_a_floor_modulo(user, shard):
    create = CreateOrder(user=user, items=ITEMS)
    outcome = given(ORDER_AGGREGATE).when(create)

    assert shard == create.shard == outcome.said[1].order_id % SHARDS


def test_each_request_of_each_user_has_an_order_of_its_own():
    assert 4 == len({order_id(user, request) for user in (1, 4097) for request in "ab"})


def test_a_request_is_kept_where_its_order_will_lie():
    key = ORDER_AGGREGATE.identify(CREATE.request, CREATE.cause)

    assert (
        (str(ID),) == key == ORDER_AGGREGATE.identify(ListOrder(order_id=ID), CREATE.cause)
    )


def test_a_purchase_and_a_create_order_with_the_same_key_are_two_orders():
    cart = by(CREATE.request, key="k", purchase="key:k")

    assert ORDER_AGGREGATE.identify(cart.request, cart.cause) != (str(ID),)


# Answers of stock


def test_an_order_waits_for_every_answer():
    outcome = given(ORDER_AGGREGATE, *NEW).when(LAMP_NO).saying_nothing()

    assert Status.NEW is status(outcome)


@pytest.mark.parametrize(("first", "last"), [(LAMP_YES, SOFA_YES), (SOFA_YES, LAMP_YES)])
def test_an_order_with_every_line_reserved_awaits_payment(first, last):
    outcome = (
        given(ORDER_AGGREGATE, *NEW, first)
        .when(last)
        .saying(fact(Status.AWAITING_PAYMENT), PLACED)
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
        .saying(Release(sku=back, order_id=ID), fact(Status.FAILED), PLACED)
    )

    assert Status.FAILED is status(outcome)


def test_an_order_with_no_line_reserved_has_nothing_to_give_back():
    given(ORDER_AGGREGATE, *NEW, LAMP_NO).when(SOFA_NO).saying(fact(Status.FAILED), PLACED)


def test_an_answer_delivered_twice_does_not_count_twice():
    outcome = (
        given(ORDER_AGGREGATE, *NEW, LAMP_YES)
        .when(LAMP_YES)
        .then_nothing()
        .saying_nothing()
    )

    assert Status.NEW is status(outcome)


def test_an_answer_about_a_sku_that_is_not_in_the_order_means_nothing():
    given(ORDER_AGGREGATE, *NEW).when(answer(3)).then_nothing().saying_nothing()


def test_the_last_answer_delivered_twice_says_the_same_again():
    given(ORDER_AGGREGATE, *FAILED).when(SOFA_NO).then_nothing().saying(
        Release(sku=LAMP, order_id=ID), fact(Status.FAILED), PLACED
    )


def test_the_last_answer_to_a_retry_answers_the_retry_and_says_no_fact_again():
    retry = answer(SOFA, yes=False, origin="retry")

    given(ORDER_AGGREGATE, *FAILED).when(retry).then_nothing().saying(PLACED)


def test_an_earlier_answer_delivered_again_leaves_the_reply_to_the_last():
    given(ORDER_AGGREGATE, *AWAITING).when(LAMP_YES).then_nothing().saying_nothing()


# An order that came from a cart


def from_cart(request, origin="it"):
    return by(request, origin, key="k", purchase="key:k")


@pytest.mark.parametrize(
    ("last", "end"), [(True, Status.AWAITING_PAYMENT), (False, Status.FAILED)]
)
def test_the_cart_is_told_how_its_order_settled_and_answers_itself(last, end):
    begun = given(ORDER_AGGREGATE, from_cart(CREATE.request))
    name = begun.state.order_id
    answers = [
        from_cart(StockReserved(order_id=name, sku=sku, reserved=yes))
        for sku, yes in ((LAMP, True), (SOFA, last))
    ]
    outcome = given(ORDER_AGGREGATE, answers[0], state=begun.state).when(answers[1])
    settled = OrderSettled(user=USER, purchase="key:k", order_id=name, status=end)

    assert settled == outcome.said[-1]
    assert PLACED not in outcome.said


def test_a_cart_whose_order_id_belongs_to_another_request_is_told_so():
    settled = OrderSettled(user=USER, purchase="key:k", order_id=None, status=None)

    outcome = (
        given(ORDER_AGGREGATE, *AWAITING).when(from_cart(CREATE.request)).then_nothing()
    )

    assert [settled] == outcome.said


# listOrder


def test_an_order_is_shown_as_it_stands_in_ascending_sku():
    view = OrderView(status=Status.NEW, user=USER, items=ITEMS)

    given(ORDER_AGGREGATE, *NEW).when(ListOrder(order_id=ID)).then_nothing().saying(view)


def test_an_order_that_never_was_is_unknown():
    outcome = (
        given(ORDER_AGGREGATE).when(ListOrder(order_id=ID)).then_refused(Code.UNKNOWN_ORDER)
    )

    assert isinstance(outcome.said[0], Refused)
    assert str(ID) in outcome.said[0].text
