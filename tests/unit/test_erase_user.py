"""Forgetting a user: what is erased, what stays for the books, and what is in the way."""

from datetime import UTC, datetime, timedelta

import pytest

from agents.checkout.service import CART_AGGREGATE
from agents.loms.service import ORDER_AGGREGATE
from agents.ops.user_data import DELETION_DELAY, retained_data
from schemas.cart import (
    AddToCart,
    CartView,
    EraseCart,
    ListCart,
    OrderSettled,
    Purchase,
    StockChecked,
)
from schemas.contract import Code, Done
from schemas.ids import SHARDS, order_id
from schemas.order import AnonymizeOrder, ListOrder, OrderPlaced, Status, StockReserved
from schemas.stock import CheckStock
from topics.catalog import CARTS_CHANGELOG, ORDER_EVENTS, ORDERS_CHANGELOG, TOPICS
from topics.topic import FOREVER

from .given import by, given
from .test_order import AWAITING, CREATE, FAILED, ID, LAMP_YES, NEW, SOFA_YES, USER
from .test_order_ends import CANCEL, CANCELLED, CANCELLED_WHILE_NEW, PAID, PAY

FORGET_CART = EraseCart(user=USER)
FORGET_ORDER = by(AnonymizeOrder(order_id=ID))
CHECKED = StockChecked(user=USER, sku=1, count=2, available=9)
FILLED = by(CHECKED, key="a")
BUYING = by(Purchase(user=USER), "somewhere-0-1")
OVER = [FAILED, PAID, CANCELLED, (*CANCELLED_WHILE_NEW, SOFA_YES)]
A_DAY = timedelta(days=1)


# Carts


def test_of_a_forgotten_cart_there_is_no_row():
    outcome = given(CART_AGGREGATE, FILLED).when(FORGET_CART).saying(Done())

    assert outcome.after is None


def test_forgetting_twice_is_done():
    given(CART_AGGREGATE, FILLED, FORGET_CART).when(FORGET_CART).saying(Done())
    given(CART_AGGREGATE).when(FORGET_CART).saying(Done())


def test_a_record_that_comes_again_erases_nothing_that_came_meanwhile():
    outcome = given(CART_AGGREGATE, FILLED).when(FORGET_CART, seen=True).saying(Done())

    assert outcome.after.lines == {1: 2}


def test_whoever_comes_back_finds_an_empty_cart_and_his_keys_unused():
    forgotten = given(CART_AGGREGATE, FILLED, FORGET_CART)

    forgotten.when(ListCart(user=USER)).saying(CartView(items=(), total_price=0))
    forgotten.when(AddToCart(user=USER, sku=1, count=2), key="a").saying(
        CheckStock(sku=1, user=USER, count=2)
    )


def test_a_cart_whose_purchase_is_under_way_is_not_forgotten():
    buying = given(CART_AGGREGATE, FILLED, BUYING)
    settled = OrderSettled(
        user=USER, purchase="somewhere-0-1", order_id=ID, status=Status.FAILED
    )

    refused = buying.when(FORGET_CART).then_refused(Code.WRONG_STATUS)
    restored = refused.and_then(settled)

    assert restored.state.lines == {1: 2}
    restored.when(FORGET_CART).saying(Done())


# Orders


@pytest.mark.parametrize("past", OVER)
def test_a_forgotten_order_knows_what_was_bought_and_not_by_whom(past):
    there = given(ORDER_AGGREGATE, *past)
    outcome = there.when(FORGET_ORDER).saying(Done())

    after = outcome.after
    assert after.user == ID % SHARDS
    assert after.anonymized
    assert (after.lines, after.answers) == (there.state.lines, there.state.answers)
    times = [(step.status, step.at) for step in there.state.history]
    assert [(step.status, step.at) for step in after.history] == times
    row = ORDER_AGGREGATE.adapters[0].dump_json(after)
    assert not any(name in row for name in (b"key:", b'"it"', b"payer", b"canceller"))


@pytest.mark.parametrize("past", [NEW, AWAITING, (*NEW, LAMP_YES), CANCELLED_WHILE_NEW])
def test_an_order_of_which_something_is_still_to_come_is_not_forgotten(past):
    given(ORDER_AGGREGATE, *past).when(FORGET_ORDER).then_refused(Code.WRONG_STATUS)


@pytest.mark.parametrize("asked", [ListOrder(order_id=ID), PAY, CANCEL])
def test_a_forgotten_order_answers_nobody(asked):
    given(ORDER_AGGREGATE, *PAID, FORGET_ORDER).when(asked).then_refused(Code.UNKNOWN_ORDER)


def test_forgetting_an_order_twice_is_done():
    given(ORDER_AGGREGATE, *PAID, FORGET_ORDER).when(FORGET_ORDER).then_nothing().saying(
        Done()
    )


def test_an_order_that_never_was_cannot_be_forgotten():
    given(ORDER_AGGREGATE).when(FORGET_ORDER).then_refused(Code.UNKNOWN_ORDER)


def test_the_key_of_a_forgotten_order_makes_no_second_one():
    forgotten = given(ORDER_AGGREGATE, *PAID, FORGET_ORDER)

    forgotten.when(CREATE).then_nothing().then_refused(Code.UNAVAILABLE)


def test_a_purchase_that_comes_to_a_forgotten_order_goes_back_to_its_cart():
    again = by(CREATE.request, purchase="key:p")
    number = order_id(USER, again.cause.request_id)
    told = [StockReserved(order_id=number, sku=sku, reserved=False) for sku in (1, 2)]
    past = given(ORDER_AGGREGATE, again, *told, AnonymizeOrder(order_id=number))

    past.when(again).then_nothing().saying(
        OrderSettled(user=USER, purchase="key:p", order_id=None, status=None)
    )


@pytest.mark.parametrize("purchase", [None, "key:p"])
def test_what_stock_says_twice_is_told_to_nobodys_cart(purchase):
    again = by(SOFA_YES.request, "it", purchase=purchase)

    told = given(ORDER_AGGREGATE, *PAID, FORGET_ORDER).when(again).then_nothing()

    told.saying(OrderPlaced(order_id=ID))


# What remains


def settings(**different):
    declared = {topic.name: topic.config(FOREVER) for topic in TOPICS}
    brokers = {"segment.ms": str(7 * 86_400_000), "delete.retention.ms": "86400000"}
    return {name: brokers | own | different for name, own in declared.items()}


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def until(found):
    return {(topic, what): until for topic, what, until in found}


def test_each_topic_that_knows_the_user_is_named():
    found = until(retained_data(settings(), NOW))

    named = {topic for topic, _ in found}
    assert named == {topic.name for topic in TOPICS}
    assert found[ORDER_EVENTS.name, "events of orders"] == NOW + 37 * A_DAY + DELETION_DELAY
    assert found["cart.requests", "requests"] is None
    assert found["cart.dlq", "dead letters"] is None
    assert found["gateway.replies", "replies"] == (
        NOW + timedelta(hours=2) + DELETION_DELAY
    )


def test_rows_go_with_the_compaction_that_the_catalogue_promises():
    found = until(retained_data(settings(), NOW))

    compacted = A_DAY + timedelta(hours=1)
    assert (
        found[CARTS_CHANGELOG.name, "earlier versions of rows"]
        == NOW + compacted + DELETION_DELAY
    )
    assert (
        found[ORDERS_CHANGELOG.name, "earlier versions of rows"]
        == NOW + compacted + DELETION_DELAY
    )
    number = found[CARTS_CHANGELOG.name, "the user's number alone"]
    assert number == NOW + 2 * compacted + A_DAY + DELETION_DELAY


def test_where_a_cluster_promises_nothing_neither_do_we():
    never = settings(**{"max.compaction.lag.ms": str(2**63 - 1)})

    assert (
        until(retained_data(never, NOW))[CARTS_CHANGELOG.name, "earlier versions of rows"]
        is None
    )
