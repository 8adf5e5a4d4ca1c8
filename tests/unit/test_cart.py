"""What a cart takes, gives back and answers; purchases are in `test_purchase`."""

import pytest

from agents.checkout.cart import LineSet
from agents.checkout.service import CART_AGGREGATE
from schemas.cart import (
    AddToCart,
    CartView,
    DeleteFromCart,
    ListCart,
    PriceCart,
    StockChecked,
)
from schemas.contract import Code, Done, Item
from schemas.stock import CheckStock

from .given import NOON, given

USER, LAMP, SOFA = 42, 1, 2
FULL_LINE, FULL_CART = 65535, 1000


def line(count, sku=LAMP):
    return LineSet(sku, count, f"filled-{sku}", "addToCart", NOON)


def add(count=1, sku=LAMP):
    return AddToCart(user=USER, sku=sku, count=count)


def checked(available, count=1, sku=LAMP):
    return StockChecked(user=USER, sku=sku, count=count, available=available)


def delete(count=1, sku=LAMP):
    return DeleteFromCart(user=USER, sku=sku, count=count)


def lines(outcome):
    return dict(outcome.after.lines)


# addToCart


def test_an_add_sends_a_check_with_all_that_the_answer_needs():
    given(CART_AGGREGATE).when(add(3)).then_nothing().sending(
        CheckStock(sku=LAMP, user=USER, count=3)
    )


def test_what_can_be_bought_goes_into_the_cart():
    outcome = given(CART_AGGREGATE).when(checked(available=3, count=3)).sending(Done())

    assert {LAMP: 3} == lines(outcome)


def test_more_pieces_add_to_the_line_and_leave_the_others_alone():
    outcome = given(CART_AGGREGATE, line(3), line(5, SOFA)).when(
        checked(available=4, count=1)
    )

    assert {LAMP: 4, SOFA: 5} == lines(outcome)


@pytest.mark.parametrize(("there", "more", "available"), [(0, 1, 0), (3, 2, 4), (7, 1, 7)])
def test_a_line_cannot_pass_what_can_be_bought(there, more, available):
    given(CART_AGGREGATE, line(there)).when(checked(available, more)).then_refused(
        Code.INSUFFICIENT_STOCK
    )


def test_a_line_may_be_all_that_can_be_bought():
    given(CART_AGGREGATE, line(3)).when(checked(available=5, count=2)).sending(Done())


@pytest.mark.parametrize(
    ("there", "more"), [(FULL_LINE, 1), (1, FULL_LINE), (40000, 40000)]
)
def test_a_line_past_a_uint16_is_refused_before_stock_is_checked(there, more):
    given(CART_AGGREGATE, line(there)).when(add(more)).then_refused(Code.COUNT_TOO_LARGE)


def test_a_line_that_grew_while_stock_was_checked_cannot_pass_a_uint16_either():
    given(CART_AGGREGATE, line(FULL_LINE)).when(checked(available=FULL_LINE)).then_refused(
        Code.COUNT_TOO_LARGE
    )


def test_a_line_may_be_a_full_uint16():
    given(CART_AGGREGATE, line(FULL_LINE - 1)).when(add()).sending(
        CheckStock(sku=LAMP, user=USER, count=1)
    )
    outcome = given(CART_AGGREGATE, line(FULL_LINE - 1)).when(checked(available=FULL_LINE))

    assert {LAMP: FULL_LINE} == lines(outcome)


def full_cart():
    return given(CART_AGGREGATE, *(line(1, sku) for sku in range(FULL_CART)))


def test_a_thousandth_sku_fits_into_a_cart():
    outcome = given(CART_AGGREGATE, *(line(1, sku) for sku in range(FULL_CART - 1))).when(
        checked(available=1, sku=FULL_CART)
    )

    assert FULL_CART == len(lines(outcome))


def test_one_more_sku_than_a_thousand_is_refused_before_stock_is_checked():
    full_cart().when(add(sku=FULL_CART)).then_refused(Code.CART_FULL)


def test_a_cart_that_filled_up_while_stock_was_checked_takes_no_other_sku_either():
    full_cart().when(checked(available=9, sku=FULL_CART)).then_refused(Code.CART_FULL)


def test_a_full_cart_takes_more_of_what_it_has():
    outcome = full_cart().when(checked(available=2, sku=0))

    assert 2 == lines(outcome)[0]


# deleteFromCart and listCart


@pytest.mark.parametrize(
    ("there", "off", "left"), [(5, 2, {LAMP: 3}), (5, 5, {}), (5, 9, {})]
)
def test_pieces_come_off_a_line_and_at_zero_or_below_it_is_gone(there, off, left):
    outcome = given(CART_AGGREGATE, line(there)).when(delete(off)).sending(Done())

    assert left == lines(outcome)


@pytest.mark.parametrize("there", [(), (line(5),)])
def test_taking_off_what_is_not_there_changes_no_line(there):
    outcome = given(CART_AGGREGATE, *there).when(delete(1, SOFA)).sending(Done())

    assert SOFA not in lines(outcome)
    assert len(there) == len(lines(outcome))


def test_an_empty_cart_is_shown_without_a_request_for_prices():
    given(CART_AGGREGATE).when(ListCart(user=USER)).then_nothing().sending(
        CartView(items=(), total_price=0)
    )


def test_a_cart_is_priced_in_ascending_sku():
    given(CART_AGGREGATE, line(1, 9), line(2, 3), line(3, 5)).when(
        ListCart(user=USER)
    ).then_nothing().sending(
        PriceCart(
            user=USER,
            items=(Item(sku=3, count=2), Item(sku=5, count=3), Item(sku=9, count=1)),
        )
    )
