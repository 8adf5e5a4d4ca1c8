"""What a cart does while it becomes an order, and when it has."""

import pytest

from agents.aggregate import WithHeaders
from agents.checkout.cart import DEDUP_WINDOW, MAX_CHECKOUTS, CheckedOut
from agents.checkout.service import CART_AGGREGATE
from schemas.cart import AddToCart, DeleteFromCart, OrderSettled, Purchase
from schemas.contract import MAX_LINES, Code, Item, Refused
from schemas.order import CreateOrder, OrderPlaced, Status, order_id

from .given import NOON, by, given
from .test_cart import FULL_LINE, LAMP, SOFA, USER, delete, line, lines

PURCHASE = Purchase(user=USER)
ORDER_ID = order_id(USER, "purchase:key:k")
PLACED = OrderPlaced(order_id=ORDER_ID)
BEGUN = CheckedOut("key:k", NOON)
ENDINGS = [Status.AWAITING_PAYMENT, Status.CANCELLED, Status.PAID]


def settled(status, purchase="key:k"):
    order = None if status is None else ORDER_ID
    return OrderSettled(user=USER, purchase=purchase, order_id=order, status=status)


def create(*items):
    order = CreateOrder(user=USER, items=tuple(Item(sku=s, count=n) for s, n in items))
    return WithHeaders(order, {"purchase": "key:k"})


def bought():
    return given(CART_AGGREGATE, line(3), line(5, SOFA), BEGUN)


def test_the_whole_cart_leaves_at_once_for_one_order():
    outcome = (
        given(CART_AGGREGATE, line(5, SOFA), line(3))
        .when(PURCHASE, key="k")
        .then(BEGUN)
        .sending(create((LAMP, 3), (SOFA, 5)))
    )

    assert {} == lines(outcome)


def test_an_empty_cart_cannot_be_purchased():
    given(CART_AGGREGATE).when(PURCHASE).then_refused(Code.CART_EMPTY)


def test_what_is_being_purchased_cannot_be_purchased_twice():
    bought().when(PURCHASE, key="other").then_refused(Code.CART_EMPTY)


def test_what_is_put_in_meanwhile_can_be_another_purchase():
    outcome = bought().state
    more = given(CART_AGGREGATE, line(7), state=outcome).when(PURCHASE, key="other")

    assert {LAMP: 7} == more.after.checkouts["key:other"]
    assert {LAMP: 3, SOFA: 5} == more.after.checkouts["key:k"]


def test_a_retry_of_a_purchase_in_flight_requests_the_same_order_again():
    bought().when(PURCHASE, key="k").then_nothing().sending(create((LAMP, 3), (SOFA, 5)))


def test_a_retry_does_not_take_what_was_put_in_meanwhile():
    given(CART_AGGREGATE, line(9), state=bought().state).when(
        PURCHASE, key="k"
    ).then_nothing().sending(create((LAMP, 3), (SOFA, 5)))


def test_purchases_is_another_name_of_the_same_request():
    bought().when(Purchase(user=USER, type="purchases"), key="k").sending(
        create((LAMP, 3), (SOFA, 5))
    )


@pytest.mark.parametrize("ending", ENDINGS)
def test_bought_lines_are_gone_when_the_order_stands(ending):
    outcome = bought().when(settled(ending)).sending(PLACED)

    assert {} == lines(outcome) == outcome.after.checkouts


def test_a_failed_order_answers_its_id_and_its_lines_return():
    outcome = bought().when(settled(Status.FAILED)).sending(PLACED)

    assert {LAMP: 3, SOFA: 5} == lines(outcome)
    assert {} == outcome.after.checkouts


def test_lines_return_to_what_was_put_in_meanwhile():
    outcome = given(CART_AGGREGATE, line(4), state=bought().state).when(
        settled(Status.FAILED)
    )

    assert {LAMP: 7, SOFA: 5} == lines(outcome)


def test_a_line_that_returns_is_capped_at_a_uint16():
    cart = given(CART_AGGREGATE, line(FULL_LINE), BEGUN, line(2))

    assert {LAMP: FULL_LINE} == lines(cart.when(settled(Status.FAILED)))


@pytest.mark.parametrize("ending", [*ENDINGS, Status.FAILED])
def test_an_order_that_settles_twice_ends_one_purchase(ending):
    given(CART_AGGREGATE, settled(ending), state=bought().state).when(
        settled(ending)
    ).then_nothing().sending(PLACED)


def test_lines_that_returned_do_not_return_again_when_the_order_changes_later():
    given(CART_AGGREGATE, settled(Status.AWAITING_PAYMENT), state=bought().state).when(
        settled(Status.FAILED)
    ).then_nothing()


def test_the_end_of_one_purchase_leaves_another_one_in_flight():
    cart = given(
        CART_AGGREGATE, line(7), CheckedOut("key:other", NOON), state=bought().state
    )

    outcome = cart.when(settled(Status.FAILED))

    assert {"key:other": {LAMP: 7}} == outcome.after.checkouts


@pytest.mark.parametrize("ending", [*ENDINGS, Status.FAILED])
def test_a_retry_of_a_purchase_that_ended_receives_the_same_order(ending):
    given(CART_AGGREGATE, line(1), settled(ending), state=bought().state).when(
        PURCHASE, key="k"
    ).then_nothing().sending(PLACED)


@pytest.mark.parametrize(
    "other",
    [AddToCart(user=USER, sku=LAMP, count=1), DeleteFromCart(user=USER, sku=LAMP, count=1)],
)
def test_the_key_of_a_purchase_serves_no_other_request(other):
    bought().when(other, key="k").then_refused(Code.KEY_REUSED)


def test_a_cart_that_grew_too_large_for_an_order_by_what_came_back_is_not_purchased():
    full = [line(1, sku) for sku in range(10_000, 10_000 + MAX_LINES)]
    too_large = given(CART_AGGREGATE, *full, BEGUN, line(1, SOFA), settled(Status.FAILED))

    too_large.when(PURCHASE, key="other").then_refused(Code.CART_FULL)
    given(CART_AGGREGATE, delete(sku=10_000), state=too_large.state).when(
        PURCHASE, key="other"
    ).then(CheckedOut("key:other", NOON))


def test_lines_return_when_the_order_id_belongs_to_another_request():
    outcome = bought().when(settled(None))

    assert [Refused] == [type(answer) for answer in outcome.sent]
    assert Code.UNAVAILABLE is outcome.sent[0].code
    assert {LAMP: 3, SOFA: 5} == lines(outcome)


def test_a_purchase_whose_order_was_refused_can_be_tried_again():
    given(CART_AGGREGATE, settled(None), state=bought().state).when(PURCHASE, key="k").then(
        BEGUN
    )


def test_a_purchase_that_was_refused_is_refused_again_for_the_same_attempt():
    given(CART_AGGREGATE, by(PURCHASE, "it", key="k"), line(1)).when(
        PURCHASE, origin="it", key="k"
    ).then_refused(Code.CART_EMPTY)
    given(CART_AGGREGATE, by(PURCHASE, "it", key="k"), line(1)).when(
        PURCHASE, key="k"
    ).then(BEGUN)


def test_a_cart_has_a_bounded_number_of_purchases_in_flight():
    in_flight = [
        e for n in range(MAX_CHECKOUTS) for e in (line(1), CheckedOut(f"{n}", NOON))
    ]

    given(CART_AGGREGATE, *in_flight, line(1)).when(PURCHASE).then_refused(Code.UNAVAILABLE)


def test_a_purchase_in_flight_is_kept_however_many_requests_follow():
    off = DeleteFromCart(user=USER, sku=SOFA, count=1)
    busy = (by(off, key=f"{n}") for n in range(DEDUP_WINDOW))

    given(CART_AGGREGATE, line(1), *busy, line(7), state=bought().state).when(
        PURCHASE, key="k"
    ).then_nothing().sending(create((LAMP, 3), (SOFA, 5)))
