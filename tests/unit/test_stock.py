"""What a sku's stock sets aside, gives back and writes off, and where."""

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as any_

from agents.loms.service import STOCK_AGGREGATE
from agents.loms.stock import ReservationStatus, StockLevel
from schemas.cart import StockChecked
from schemas.order import StockReserved
from schemas.stock import (
    CheckStock,
    ListStocks,
    ReceiveStock,
    Release,
    Reserve,
    Sell,
    Stock,
    StocksView,
)

from .given import by, given

SKU, ORDER_ID = 1076963, 4097
FULL = 2**64 - 1
RELEASE, SELL = Release(sku=SKU, order_id=ORDER_ID), Sell(sku=SKU, order_id=ORDER_ID)
YES = StockReserved(order_id=ORDER_ID, sku=SKU, reserved=True)
NO = StockReserved(order_id=ORDER_ID, sku=SKU, reserved=False)


def receive(count, warehouse=7):
    return ReceiveStock(sku=SKU, warehouse_id=warehouse, count=count)


def reserve(count):
    return Reserve(sku=SKU, order_id=ORDER_ID, count=count)


def stocked(places, *past):
    """Goods by warehouse, each receipt with a memory of its own."""
    goods = given(STOCK_AGGREGATE)
    for warehouse, count in places.items():
        goods = about_another(
            given(STOCK_AGGREGATE, receive(count, warehouse), state=goods.state)
        )
    return given(STOCK_AGGREGATE, *past, state=goods.state)


def about_another(goods):
    """The same shelf as a request sees it that is about another entry."""
    return given(STOCK_AGGREGATE, state=goods.state._replace(entry=None))


def available(outcome):
    return dict((outcome.after.level or StockLevel()).available)


def reserved(outcome):
    return dict((outcome.after.level or StockLevel()).reserved)


# stocks


def test_an_unknown_sku_has_no_stocks():
    given(STOCK_AGGREGATE).when(ListStocks(sku=SKU)).then_nothing().sending(
        StocksView(stocks=())
    )


def test_stocks_are_shown_by_ascending_warehouse_and_empty_ones_are_omitted():
    goods = stocked({10: 70, -3: 5, 7: 100}, reserve(100))

    goods.when(ListStocks(sku=SKU)).then_nothing().sending(
        StocksView(
            stocks=(Stock(warehouse_id=-3, count=5), Stock(warehouse_id=10, count=70))
        )
    )


@pytest.mark.parametrize(
    ("places", "most"),
    [({}, 0), ({7: 45, 10: 70}, 115), ({7: 65535}, 65535), ({7: 2**40}, 65535)],
)
def test_a_check_has_the_available_units_of_all_warehouses_up_to_a_full_line(places, most):
    checked = StockChecked(user=42, sku=SKU, count=3, available=most)

    stocked(places).when(CheckStock(sku=SKU, user=42, count=3)).then_nothing().sending(
        checked
    )


def test_a_check_excludes_reserved_units():
    checked = StockChecked(user=42, sku=SKU, count=1, available=2)

    stocked({7: 5}, reserve(3)).when(CheckStock(sku=SKU, user=42, count=1)).sending(checked)


# reserve


@pytest.mark.parametrize(
    ("places", "count", "picks"),
    [
        ({7: 45, 10: 70}, 70, {10: 70}),
        ({7: 45, 10: 70}, 71, {10: 70, 7: 1}),
        ({7: 45, 10: 70}, 115, {10: 70, 7: 45}),
        ({9: 5, 3: 5, 6: 5}, 1, {3: 1}),
        ({9: 5, 3: 5, 6: 5}, 11, {3: 5, 6: 5, 9: 1}),
        ({-1: 2, -2: 2}, 3, {-2: 2, -1: 1}),
        ({7: FULL, 8: FULL}, 65535, {7: 65535}),
    ],
)
def test_a_reservation_takes_from_the_fullest_and_of_equals_from_the_lowest(
    places, count, picks
):
    outcome = stocked(places).when(reserve(count)).sending(YES)

    assert picks == reserved(outcome) == dict(outcome.after.entry.allocation)
    for warehouse, there in places.items():
        left = there - picks.get(warehouse, 0)
        assert left == available(outcome).get(warehouse, 0)


@pytest.mark.parametrize("places", [{}, {7: 2}, {7: 1, 8: 1}])
def test_a_line_is_reserved_as_a_whole_or_not_at_all(places):
    outcome = stocked(places).when(reserve(3)).sending(NO)

    assert ReservationStatus.REFUSED is outcome.after.entry.status
    assert places == available(outcome)
    assert {} == reserved(outcome)


@pytest.mark.parametrize(("count", "answer"), [(3, YES), (6, NO)])
def test_an_answer_is_final_even_after_new_receipts(count, answer):
    more = about_another(stocked({7: 5}, reserve(count)))
    entry = stocked({7: 5}, reserve(count)).state.entry
    richer = given(STOCK_AGGREGATE, receive(100, 8), state=more.state)

    given(STOCK_AGGREGATE, state=richer.state._replace(entry=entry)).when(
        reserve(count)
    ).then_nothing().sending(answer)


@pytest.mark.parametrize(("last", "answer"), [(RELEASE, YES), (SELL, YES)])
def test_a_closed_reservation_has_the_same_answer_and_reserves_nothing_again(last, answer):
    stocked({7: 5}, reserve(3), last).when(reserve(3)).then_nothing().sending(answer)


def test_a_release_that_comes_first_makes_the_reservation_come_to_nothing():
    outcome = stocked({7: 5}, RELEASE).when(reserve(3)).then_nothing().sending(NO)

    assert {7: 5} == available(outcome)
    assert {} == reserved(outcome)


# release and sell


@pytest.mark.parametrize("count", [1, 70, 71, 115])
def test_a_release_returns_units_to_their_warehouses(count):
    outcome = stocked({7: 45, 10: 70}, reserve(count)).when(RELEASE).sending_nothing()

    assert {7: 45, 10: 70} == available(outcome)
    assert {} == reserved(outcome)


def test_a_release_returns_units_though_another_warehouse_is_fuller_now():
    held = stocked({7: 45, 10: 70}, reserve(70)).state
    moved = given(STOCK_AGGREGATE, receive(500, 3), state=held._replace(entry=None)).state

    outcome = given(STOCK_AGGREGATE, state=moved._replace(entry=held.entry)).when(RELEASE)

    assert {3: 500, 7: 45, 10: 70} == available(outcome)


@pytest.mark.parametrize("count", [70, 71])
def test_sold_units_are_written_off(count):
    outcome = stocked({7: 45, 10: 70}, reserve(count)).when(SELL).sending_nothing()

    assert 115 - count == sum(available(outcome).values())
    assert {} == reserved(outcome)
    assert ReservationStatus.SOLD is outcome.after.entry.status


@pytest.mark.parametrize("again", [RELEASE, SELL])
@pytest.mark.parametrize("past", [(reserve(3), RELEASE), (reserve(3), SELL), (reserve(9),)])
def test_a_reservation_is_closed_once(past, again):
    stocked({7: 5}, *past).when(again).then_nothing().sending_nothing()


def test_a_sale_without_a_reservation_is_ignored():
    stocked({7: 5}).when(SELL).then_nothing().sending_nothing()


def test_each_order_has_an_entry_of_its_own():
    cause = by(SELL).cause

    assert ("1076963", "1076963/4097") == STOCK_AGGREGATE.identify(SELL, cause)
    assert STOCK_AGGREGATE.identify(reserve(1), cause) == STOCK_AGGREGATE.identify(
        RELEASE, cause
    )
    assert ("1076963",) == STOCK_AGGREGATE.identify(ListStocks(sku=SKU), cause)


@for_all(
    places=any_.dictionaries(any_.integers(-5, 5), any_.integers(1, 9), min_size=1),
    count=any_.integers(1, 50),
)
def test_a_reservation_has_the_fewest_picks_and_its_release_restores_the_level(
    places, count
):
    outcome = stocked(places).when(reserve(count))
    fullest = sorted(places.values(), reverse=True)
    enough = (n for n in range(1, len(fullest) + 1) if sum(fullest[:n]) >= count)

    assert next(enough, 0) == len(reserved(outcome))
    assert places == available(outcome.and_then().when(RELEASE))
