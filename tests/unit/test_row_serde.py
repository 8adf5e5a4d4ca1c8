"""Rows as JSON, of this release and of others."""

from datetime import UTC, datetime

import orjson
import pytest
from msgspec import DecodeError

from agents.checkout.cart import Cart
from agents.checkout.service import CART_AGGREGATE
from agents.loms.order import Order, StatusChange
from agents.loms.service import ORDER_AGGREGATE, STOCK_AGGREGATE
from agents.loms.stock import Receipt, Reservation, ReservationStatus, StockLevel
from schemas.contract import MAX_STOCK, Code, Refused
from schemas.order import Status

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOON.replace(microsecond=851_000)
HISTORY = (StatusChange(Status.NEW, NOON, "o-1-0"), StatusChange(Status.PAID, LATER, ""))
[CARTS] = CART_AGGREGATE.serdes
[ORDERS] = ORDER_AGGREGATE.serdes
LEVELS, ENTRIES = STOCK_AGGREGATE.serdes

ROWS = [
    (
        ORDERS,
        Order(4103, -7, "key:k", {1: 2}, HISTORY, {1: True}, 1, {"key:p": "orderPayed"}),
        (
            b'{"order_id":4103,"user":-7,"request_id":"key:k","lines":{"1":2},"history":['
            b'{"status":"new","at":"2026-11-23T12:00:00Z","origin":"o-1-0"},'
            b'{"status":"paid","at":"2026-11-23T12:00:00.851000Z","origin":""}],'
            b'"answers":{"1":true},"last_answer":1,"processed":{"key:p":"orderPayed"}}'
        ),
    ),
    (
        CARTS,
        Cart({7: 2}, {"a-1-0": "purchase"}, {"a": Refused(code=Code.CART_FULL, text="é")}),
        (
            b'{"lines":{"7":2},"processed":{"a-1-0":"purchase"},"refused":{"a":{"type":'
            b'"refused","code":"cart-full","text":"\xc3\xa9"}},"checkouts":{},'
            b'"changed_at":null}'
        ),
    ),
    (
        LEVELS,
        StockLevel({-(2**63): MAX_STOCK}),
        b'{"available":{"-9223372036854775808":18446744073709551615},"reserved":{}}',
    ),
    (
        ENTRIES,
        Reservation(ReservationStatus.SOLD, {10: 1}, NOON),
        b'{"status":"sold","allocation":{"10":1},"at":"2026-11-23T12:00:00Z"}',
    ),
    (
        ENTRIES,
        Receipt("receiveStock 1 2", NOON),
        b'{"request":"receiveStock 1 2","at":"2026-11-23T12:00:00Z","is_forwarded":false}',
    ),
]


@pytest.mark.parametrize(("serde", "row", "value"), ROWS)
def test_a_row_has_the_json_that_earlier_releases_wrote(serde, row, value):
    assert serde.serialize(row) == value
    assert serde.deserialize_all(value) == (row, {})


@pytest.mark.parametrize(("serde", "row", "value"), ROWS)
def test_fields_of_a_newer_release_are_returned(serde, row, value):
    newer = {"flags": [1], "note": {"by": "me"}}
    read = serde.deserialize_all(orjson.dumps(orjson.loads(value) | newer))
    assert read == (row, newer)


def test_unknown_fields_of_a_part_of_a_row_are_lost():
    value = ORDERS.serialize(Order(1, 7, "k", {1: 2}, HISTORY))
    newer = value.replace(b'"origin":""', b'"origin":"","channel":"web"')
    row, unknown = ORDERS.deserialize_all(newer)
    assert (row, unknown) == (Order(1, 7, "k", {1: 2}, HISTORY), {})


@pytest.mark.parametrize(
    "value", [b"", b"{", b"null", b"[]", b"{}", b'{"at":"x"}', b"\xff", b'{"x":"\xff"}']
)
def test_a_value_that_is_no_row_is_an_error(value):
    for serde in (ORDERS, ENTRIES):
        with pytest.raises(DecodeError):
            serde.deserialize(value)
