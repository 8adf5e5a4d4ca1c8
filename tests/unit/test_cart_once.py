"""One request of a cart's, however often it comes: one effect and one answer."""

import pytest

from agents.checkout.cart import DEDUP_WINDOW, MAX_RECORDED_REFUSALS
from agents.checkout.service import CART_AGGREGATE
from schemas.cart import ListCart
from schemas.contract import Code, Done
from schemas.stock import CheckStock

from .given import by, given
from .test_cart import FULL_LINE, LAMP, SOFA, USER, add, checked, delete, line, lines


@pytest.mark.parametrize("request_", [checked(available=9), delete()])
@pytest.mark.parametrize("who", [{"origin": "it"}, {"key": "k"}])
def test_the_same_request_again_has_no_second_effect_and_the_same_answer(request_, who):
    given(CART_AGGREGATE, line(5), by(request_, **who)).when(
        request_, **who
    ).then_nothing().sending(Done())


def test_a_retry_of_a_processed_add_sends_no_check():
    given(CART_AGGREGATE, by(checked(available=9), key="k")).when(
        add(), key="k"
    ).then_nothing().sending(Done())


def test_two_retries_under_way_at_once_add_once():
    outcome = given(CART_AGGREGATE, by(checked(available=9), key="k")).when(
        by(checked(available=8), key="k")
    )

    assert {LAMP: 1} == lines(outcome.sending(Done()))


def test_requests_without_a_key_stand_for_themselves():
    outcome = given(CART_AGGREGATE, checked(available=9)).when(checked(available=9))

    assert {LAMP: 2} == lines(outcome)


@pytest.mark.parametrize(
    "other", [add(2), add(sku=SOFA), checked(9, 2), delete(), ListCart(user=USER)]
)
def test_a_key_with_another_request_is_refused(other):
    given(CART_AGGREGATE, by(checked(available=9), key="k")).when(
        other, key="k"
    ).then_refused(Code.KEY_REUSED)


def test_a_request_that_took_off_more_than_there_was_is_still_the_same_request():
    given(CART_AGGREGATE, line(1), by(delete(9), key="k")).when(delete(9), key="k").sending(
        Done()
    )
    given(CART_AGGREGATE, line(1), by(delete(9), key="k")).when(
        delete(1), key="k"
    ).then_refused(Code.KEY_REUSED)


def test_what_was_refused_is_decided_again_for_a_new_attempt():
    outcome = given(CART_AGGREGATE, by(checked(available=0), key="k")).when(
        checked(available=1), key="k"
    )

    assert {LAMP: 1} == lines(outcome.sending(Done()))


def test_what_was_refused_is_refused_again_for_the_same_attempt():
    refused = given(CART_AGGREGATE, by(checked(available=0), origin="it", key="k"))
    first = given(CART_AGGREGATE).when(checked(available=0), origin="it", key="k")

    refused.when(checked(available=1), origin="it", key="k").then_refused(
        Code.INSUFFICIENT_STOCK
    ).sending(*first.sent)


def test_a_refusal_stands_even_when_a_later_attempt_was_served():
    given(
        CART_AGGREGATE,
        by(checked(available=0), origin="first", key="k"),
        by(checked(available=1), origin="second", key="k"),
    ).when(checked(available=1), origin="first", key="k").then_refused(
        Code.INSUFFICIENT_STOCK
    )


def others(count):
    return (by(delete(), key=f"other-{n}") for n in range(count))


def test_the_newest_256_requests_are_remembered():
    cart = given(
        CART_AGGREGATE, by(checked(available=9), key="k"), *others(DEDUP_WINDOW - 1)
    )

    cart.when(checked(available=9), key="k").then_nothing().sending(Done())
    assert 256 == DEDUP_WINDOW


def test_older_requests_are_forgotten_so_that_a_cart_stays_small():
    cart = given(CART_AGGREGATE, by(checked(available=9), key="k"), *others(DEDUP_WINDOW))

    assert DEDUP_WINDOW == len(cart.state.processed)
    assert "key:k" not in cart.state.processed


def test_old_refusals_are_forgotten_so_that_a_cart_stays_small():
    refused = (checked(available=0) for _ in range(MAX_RECORDED_REFUSALS + 1))

    assert MAX_RECORDED_REFUSALS == len(given(CART_AGGREGATE, *refused).state.refused)


def test_an_add_that_is_redelivered_checks_stock_again_though_the_line_has_filled_up():
    full = given(CART_AGGREGATE, line(FULL_LINE))

    full.when(add(), seen=True).sending(CheckStock(sku=LAMP, user=USER, count=1))
