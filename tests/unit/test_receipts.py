"""What is put into a warehouse, once for each request."""

import pytest

from agents.loms.service import STOCK_AGGREGATE
from schemas.contract import Code, Done
from schemas.stock import ListStocks, Stock, StocksView

from .given import by, given
from .test_stock import (
    FULL,
    ORDER_ID,
    RELEASE,
    SELL,
    SKU,
    about_another,
    available,
    receive,
    reserve,
    stocked,
)


def test_goods_are_put_into_a_warehouse():
    outcome = given(STOCK_AGGREGATE).when(receive(70)).sending(Done())

    assert {7: 70} == available(outcome)


def test_more_goods_add_to_what_is_there():
    outcome = stocked({7: 70, 8: 1}).when(receive(5)).sending(Done())

    assert {7: 75, 8: 1} == available(outcome)


@pytest.mark.parametrize("who", [{"origin": "it"}, {"key": "k"}])
def test_the_same_receipt_again_is_done_and_counts_once(who):
    outcome = given(STOCK_AGGREGATE, by(receive(70), **who)).when(receive(70), **who)

    assert {7: 70} == available(outcome.then_nothing().sending(Done()))


@pytest.mark.parametrize("other", [receive(71), receive(70, 8)])
def test_a_key_with_another_receipt_is_refused(other):
    given(STOCK_AGGREGATE, by(receive(70), key="k")).when(other, key="k").then_refused(
        Code.KEY_REUSED
    )


def test_a_receipt_cannot_be_taken_for_an_orders_entry():
    receipt = STOCK_AGGREGATE.identify(receive(1), by(receive(1), key=str(ORDER_ID)).cause)

    assert receipt != STOCK_AGGREGATE.identify(RELEASE, by(RELEASE).cause)


def test_a_warehouse_holds_a_full_uint64_exactly():
    stock = given(STOCK_AGGREGATE, receive(FULL))

    stock.when(ListStocks(sku=SKU)).sending(
        StocksView(stocks=(Stock(warehouse_id=7, count=FULL),))
    )


@pytest.mark.parametrize("past", [(), (reserve(65535),)])
def test_a_warehouse_cannot_pass_a_uint64_reserved_goods_included(past):
    stock = about_another(stocked({7: FULL}, *past))

    stock.when(receive(1)).then_refused(Code.COUNT_TOO_LARGE)


def test_what_is_sold_makes_room_and_another_warehouse_has_its_own():
    sold = about_another(stocked({7: FULL}, reserve(5), SELL))

    sold.when(receive(5)).sending(Done())
    sold.when(receive(6)).then_refused(Code.COUNT_TOO_LARGE)
    sold.when(receive(FULL, 8)).sending(Done())
