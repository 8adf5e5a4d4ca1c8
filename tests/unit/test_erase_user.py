"""The erasure of a user: erased rows, anonymized orders, and data that Kafka retains."""

from datetime import UTC, datetime, timedelta

import pytest

from agents.checkout.service import CART_AGGREGATE
from agents.loms.service import ORDER_AGGREGATE
from agents.ops.erase_user import DELETION_DELAY, retained_data
from schemas.cart import (
    AddToCart,
    CartView,
    EraseCart,
    ListCart,
    OrderSettled,
    Purchase,
    StockChecked,
)
from schemas.contract import SHARDS, Code, Done
from schemas.order import (
    AnonymizeOrder,
    ListOrder,
    OrderPlaced,
    Status,
    StockReserved,
    order_id,
)
from schemas.stock import CheckStock
from topics.catalog import (
    CARTS_CHANGELOG,
    ORDER_EVENTS,
    ORDERS_CHANGELOG,
    SENT_CHANGELOG,
    STOCK_CHANGELOG,
    TOPICS,
)
from topics.topic import FOREVER

from .given import by, given
from .test_order import AWAITING, CREATE, FAILED, ID, LAMP_YES, NEW, SOFA_YES, USER
from .test_order_ends import CANCEL, CANCELLED, CANCELLED_WHILE_NEW, PAID, PAY

ERASE_CART = EraseCart(user=USER)
ANONYMIZE = by(AnonymizeOrder(order_id=ID))
CHECKED = StockChecked(user=USER, sku=1, count=2, available=9)
FILLED = by(CHECKED, key="a")
BUYING = by(Purchase(user=USER), "somewhere-0-1")
CLOSED = [FAILED, PAID, CANCELLED, (*CANCELLED_WHILE_NEW, SOFA_YES)]
A_DAY = timedelta(days=1)


# Carts


def test_an_erased_cart_has_no_row():
    outcome = given(CART_AGGREGATE, FILLED).when(ERASE_CART).sending(Done())

    assert outcome.after is None


def test_a_second_erasure_is_done():
    given(CART_AGGREGATE, FILLED, ERASE_CART).when(ERASE_CART).sending(Done())
    given(CART_AGGREGATE).when(ERASE_CART).sending(Done())


def test_a_redelivered_erasure_erases_no_newer_lines():
    outcome = given(CART_AGGREGATE, FILLED).when(ERASE_CART, seen=True).sending(Done())

    assert outcome.after.lines == {1: 2}


def test_after_an_erasure_the_cart_is_empty_and_keys_are_unused():
    erased = given(CART_AGGREGATE, FILLED, ERASE_CART)

    erased.when(ListCart(user=USER)).sending(CartView(items=(), total_price=0))
    erased.when(AddToCart(user=USER, sku=1, count=2), key="a").sending(
        CheckStock(sku=1, user=USER, count=2)
    )


def test_a_cart_with_a_purchase_in_progress_is_not_erased():
    buying = given(CART_AGGREGATE, FILLED, BUYING)
    settled = OrderSettled(
        user=USER, purchase="somewhere-0-1", order_id=ID, status=Status.FAILED
    )

    refused = buying.when(ERASE_CART).then_refused(Code.WRONG_STATUS)
    restored = refused.and_then(settled)

    assert restored.state.lines == {1: 2}
    restored.when(ERASE_CART).sending(Done())


# Orders


@pytest.mark.parametrize("past", CLOSED)
def test_an_anonymized_order_has_its_lines_but_no_user(past):
    before = given(ORDER_AGGREGATE, *past)
    outcome = before.when(ANONYMIZE).sending(Done())

    after = outcome.after
    assert after.user == ID % SHARDS
    assert after.anonymized
    assert (after.lines, after.answers) == (before.state.lines, before.state.answers)
    times = [(step.status, step.at) for step in before.state.history]
    assert [(step.status, step.at) for step in after.history] == times
    row = ORDER_AGGREGATE.serdes[0].serialize(after)
    assert not any(name in row for name in (b"key:", b'"it"', b"payer", b"canceller"))


@pytest.mark.parametrize("past", [NEW, AWAITING, (*NEW, LAMP_YES), CANCELLED_WHILE_NEW])
def test_an_order_in_progress_is_not_anonymized(past):
    given(ORDER_AGGREGATE, *past).when(ANONYMIZE).then_refused(Code.WRONG_STATUS)


@pytest.mark.parametrize("client_request", [ListOrder(order_id=ID), PAY, CANCEL])
def test_an_anonymized_order_is_unknown_to_clients(client_request):
    given(ORDER_AGGREGATE, *PAID, ANONYMIZE).when(client_request).then_refused(
        Code.UNKNOWN_ORDER
    )


def test_a_second_anonymization_is_done():
    given(ORDER_AGGREGATE, *PAID, ANONYMIZE).when(ANONYMIZE).then_nothing().sending(Done())


def test_an_unknown_order_cannot_be_anonymized():
    given(ORDER_AGGREGATE).when(ANONYMIZE).then_refused(Code.UNKNOWN_ORDER)


def test_the_key_of_an_anonymized_order_creates_no_second_one():
    erased = given(ORDER_AGGREGATE, *PAID, ANONYMIZE)

    erased.when(CREATE).then_nothing().then_refused(Code.UNAVAILABLE)


def test_a_purchase_for_an_anonymized_order_is_settled_without_an_order():
    again = by(CREATE.request, purchase="key:p")
    number = order_id(USER, again.cause.request_id)
    replies = [StockReserved(order_id=number, sku=sku, reserved=False) for sku in (1, 2)]
    past = given(ORDER_AGGREGATE, again, *replies, AnonymizeOrder(order_id=number))

    past.when(again).then_nothing().sending(
        OrderSettled(user=USER, purchase="key:p", order_id=None, status=None)
    )


@pytest.mark.parametrize("purchase", [None, "key:p"])
def test_a_redelivered_stock_reply_settles_no_cart(purchase):
    again = by(SOFA_YES.request, "it", purchase=purchase)

    replies = given(ORDER_AGGREGATE, *PAID, ANONYMIZE).when(again).then_nothing()

    replies.sending(OrderPlaced(order_id=ID))


# Retained data


def settings(**different):
    declared = {topic.name: topic.config(FOREVER) for topic in TOPICS}
    brokers = {"segment.ms": str(7 * 86_400_000), "delete.retention.ms": "86400000"}
    return {name: brokers | own | different for name, own in declared.items()}


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def until(found):
    return {(topic, what): until for topic, what, until in found}


def test_each_topic_with_data_of_the_user_is_named():
    found = until(retained_data(settings(), NOW))

    named = {topic for topic, _ in found}
    assert named == {topic.name for topic in TOPICS}
    assert found[ORDER_EVENTS.name, "events of orders"] == NOW + 37 * A_DAY + DELETION_DELAY
    assert found["cart.requests", "requests"] is None
    assert found["cart.dlq", "dead letters"] is None
    assert found["gateway.replies", "replies"] == (
        NOW + timedelta(hours=2) + DELETION_DELAY
    )


def test_rows_are_deleted_by_the_compaction_of_the_catalogue():
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


def test_rows_that_expire_are_deleted_later():
    found = until(retained_data(settings(), NOW))

    tombstone = found[CARTS_CHANGELOG.name, "the user's number alone"]
    hour = timedelta(hours=1)
    stock = found[STOCK_CHANGELOG.name, "stock of orders, by orderID"]
    sent = found[SENT_CHANGELOG.name, "sent notifications, by orderID"]
    assert (stock, sent) == (tombstone + A_DAY + hour, tombstone + 30 * A_DAY + hour)


def test_without_a_limit_of_compaction_rows_stay():
    never = settings(**{"max.compaction.lag.ms": str(2**63 - 1)})

    assert (
        until(retained_data(never, NOW))[CARTS_CHANGELOG.name, "earlier versions of rows"]
        is None
    )
