"""How long entries of stock and empty carts count, by the time of the records."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from agents.aggregate import Cause
from agents.checkout.cart import Cart
from agents.checkout.service import CART_AGGREGATE
from agents.loms.service import ORDER_AGGREGATE, STOCK_AGGREGATE
from agents.loms.stock import Receipt, Reservation, ReservationStatus, StockLevel
from schemas.cart import DeleteFromCart, Purchase
from schemas.contract import Code, Done, Refused
from topics.catalog import STOCK_REQUESTS

from .given import NOON, Attempt, given
from .test_cart import USER, checked
from .test_order import CREATE
from .test_stock import (
    NO,
    ORDER_ID,
    RELEASE,
    SKU,
    YES,
    available,
    receive,
    reserve,
    stocked,
)

DAY, MONTH, HOUR = timedelta(days=1), timedelta(days=30), timedelta(hours=1)
A_MOMENT = timedelta(microseconds=1)


def entry(status):
    return Reservation(status, {7: 1}, NOON)


@pytest.mark.parametrize(
    ("aggregate", "row", "kept"),
    [
        (STOCK_AGGREGATE, StockLevel({}, {}), None),
        (STOCK_AGGREGATE, entry(ReservationStatus.RESERVED), None),
        (STOCK_AGGREGATE, entry(ReservationStatus.SOLD), DAY),
        (STOCK_AGGREGATE, entry(ReservationStatus.RELEASED), DAY),
        (STOCK_AGGREGATE, entry(ReservationStatus.REFUSED), DAY),
        (STOCK_AGGREGATE, Receipt("receiveStock 7 1", NOON), DAY),
        (STOCK_AGGREGATE, Receipt("receiveStock 7 1", NOON, is_forwarded=True), MONTH),
        (CART_AGGREGATE, Cart(changed_at=NOON), MONTH),
        (CART_AGGREGATE, Cart(), None),  # of an older release
        (ORDER_AGGREGATE, given(ORDER_AGGREGATE, CREATE).state, None),
    ],
)
def test_a_row_counts_until_it_expires(aggregate, row, kept):
    assert aggregate.expires(row) == (None if kept is None else NOON + kept)
    until = kept or 1000 * MONTH
    assert aggregate.unexpired(row, NOON + until - A_MOMENT) is row
    assert (aggregate.unexpired(row, NOON + until) is None) == bool(kept)


def test_no_row_stays_no_row():
    assert STOCK_AGGREGATE.unexpired(None, NOON) is None


@pytest.mark.parametrize("field", ["lines", "checkouts"])
def test_a_cart_expires_when_it_is_empty(field):
    content = {1: 1} if field == "lines" else {"key:k": {1: 1}}
    cart = Cart(**{field: content}, changed_at=NOON)

    assert CART_AGGREGATE.expires(cart) is None


def test_each_change_keeps_a_cart_for_another_month():
    cart = given(CART_AGGREGATE)
    requests = (
        checked(available=3, count=3),
        DeleteFromCart(user=USER, sku=1, count=9),
        Purchase(user=USER),  # is refused
    )
    for days, request in enumerate(requests):
        outcome = cart.when(request, at=timedelta(days=days))
        assert outcome.after.changed_at == NOON + timedelta(days=days)
        cart = outcome.and_then()

    (refused,) = outcome.sent
    assert isinstance(refused, Refused)
    assert CART_AGGREGATE.expires(outcome.after) == NOON + timedelta(days=2) + MONTH


# A reserve that comes late


@pytest.mark.parametrize(("late", "answer"), [(timedelta(), YES), (A_MOMENT, NO)])
def test_a_reserve_is_refused_when_its_order_is_old(late, answer):
    request = reserve(1).model_copy(update={"at": NOON})
    outcome = stocked({7: 1}).when(request, at=23 * HOUR + late).sending(answer)

    assert available(outcome) == ({7: 1} if answer is NO else {})
    assert outcome.after.entry.status is ReservationStatus.REFUSED or answer is YES


def test_a_reserve_of_an_older_release_has_no_age():
    stocked({7: 1}).when(reserve(1), at=99 * DAY).sending(YES)


def test_a_late_release_moves_nothing_and_a_reserve_behind_it_is_refused():
    released = stocked({7: 1}).when(RELEASE, at=DAY).sending_nothing()
    request = reserve(1).model_copy(update={"at": NOON})

    assert available(released) == {7: 1}
    later = given(STOCK_AGGREGATE, state=released.after._replace(entry=None))
    assert available(later.when(request, at=2 * DAY).sending(NO)) == {7: 1}


@pytest.mark.parametrize("at", ["2026-01-01T12:00:00", "2026-01-01", "x"])
def test_a_reserve_without_a_zone_is_invalid(at):
    """It could not be compared with a record's time."""
    value = f'{{"type":"reserve","sku":{SKU},"orderID":{ORDER_ID},"count":1,"at":"{at}"}}'

    with pytest.raises(ValidationError):
        STOCK_REQUESTS.decode(value.encode())


# Receipts


def test_a_receipt_that_is_forwarded_later_is_kept_as_long():
    """The record may be forwarded once more, however late."""
    first = given(STOCK_AGGREGATE).when(receive(5), key="k")
    forwarded = Attempt(receive(5), Cause(NOON, "it", "k", is_first=False))
    again = first.and_then().when(forwarded).sending(Done())

    assert not first.after.entry.is_forwarded
    assert again.after.entry == Receipt("receiveStock 7 5", NOON, is_forwarded=True)
    assert available(again) == {7: 5}
    again.and_then().when(forwarded).then_nothing()
    again.and_then().when(receive(6), key="k").then_refused(Code.KEY_REUSED)
