"""Schemas stay compatible with the last release; additions are in golden files."""

import json
from datetime import UTC, datetime
from typing import Annotated, Literal

import pytest
from pydantic import Field

from agents.checkout.cart import Cart
from agents.checkout.service import CART_AGGREGATE
from agents.loms.order import StatusChange
from agents.loms.service import ORDER_AGGREGATE, STOCK_AGGREGATE
from agents.loms.stock import ReservationStatus
from schemas.contract import Code, Contract, Item, Refused
from schemas.order import Status
from tests.contract.compatibility import (
    GOLDEN,
    REGENERATE,
    broken,
    broken_topics,
    golden,
    now,
    schema,
)

NOW = now()


@pytest.mark.parametrize("name", NOW)
def test_a_schema_is_compatible_with_its_golden_file_which_has_every_addition(name: str):
    before, after = golden(name), json.loads(json.dumps(NOW[name]))
    assert before is not None, f"{name} is new: run {REGENERATE}"
    assert broken(name, before, after) == []
    assert before == after, f"{name} has grown: run {REGENERATE}"


def test_every_golden_file_has_a_schema():
    assert {file.stem for file in GOLDEN.glob("*.json")} == NOW.keys()


Small = Annotated[int, Field(ge=0, lt=10)]


class Thing(Contract):
    """The contract of the last release."""

    type: Literal["thing"] = "thing"
    count: Small
    colour: Literal["red", "green"] = "red"
    items: tuple[Item, ...] = ()


class Described(Contract):
    """The same in other words."""

    type: Literal["thing"] = "thing"
    count: Small = Field(description="how many", title="Number")
    colour: Literal["red", "green"] = "red"
    items: tuple[Item, ...] = ()


class Grown(Thing):
    size: int | None = None


class Tolerant(Thing, extra="ignore"):
    pass


class Demanding(Thing):
    size: int


class Shrunk(Contract):
    type: Literal["thing"] = "thing"
    count: Small
    colour: Literal["red", "green"] = "red"


class Renamed(Shrunk):
    goods: tuple[Item, ...] = ()


class Narrower(Thing):
    count: Annotated[int, Field(ge=1, lt=10)]


class Wider(Thing):
    count: Annotated[int, Field(ge=0, lt=11)]


class Unbounded(Thing):
    count: int


class Textual(Thing):
    count: str


class Optional(Thing):
    count: Small = 1


class OtherType(Thing):
    type: Literal["object"] = "object"


class LessColourful(Thing):
    colour: Literal["red"] = "red"


class MoreColourful(Thing):
    colour: Literal["red", "green", "blue"] = "red"


class OtherDefault(Thing):
    colour: Literal["red", "green"] = "green"


class SizedItem(Item):
    size: int


class OtherItems(Thing):
    items: tuple[SizedItem, ...] = ()


def _found(after: type[Contract]) -> list[str]:
    return broken("Thing", schema(Thing), schema(after))


@pytest.mark.parametrize("after", [Thing, Described, Grown, Tolerant])
def test_a_compatible_addition_breaks_no_reader(after: type[Contract]):
    assert _found(after) == []


@pytest.mark.parametrize(
    ("after", "why"),
    [
        (Demanding, "Thing.size: must be there now"),
        (Shrunk, "Thing.items: is gone"),
        (Renamed, "Thing.items: is gone"),
        (Narrower, "Thing.count.minimum: 0 became 1"),
        (Wider, "Thing.count.exclusiveMaximum: 10 became 11"),
        (Unbounded, "Thing.count.exclusiveMaximum: 10 became None"),
        (Textual, "Thing.count.type: 'integer' became 'string'"),
        (Optional, "Thing.count: may be missing now"),
        (OtherType, "Thing.type.const: 'thing' became 'object'"),
        (LessColourful, "Thing.colour"),
        (MoreColourful, "Thing.colour.enum"),
        (OtherDefault, "Thing.colour.default: 'red' became 'green'"),
        (OtherItems, "Thing.items.items.size: must be there now"),
    ],
)
def test_an_incompatible_change_is_found(after: type[Contract], why: str):
    assert any(line.startswith(why) for line in _found(after)), _found(after)


def test_a_contract_that_begins_to_refuse_unknown_fields_is_found():
    [line] = broken("Thing", schema(Tolerant), schema(Thing))
    assert "refuses unknown fields now" in line


TOPIC = {"key": "user", "kind": "requests", "partitions": None, "carries": ["A", "B"]}


@pytest.mark.parametrize(
    "after", [TOPIC, TOPIC | {"carries": ["A", "B", "C"]}], ids=["same", "more"]
)
def test_topics_may_carry_more(after: dict):
    assert list(broken_topics({"t": TOPIC}, {"t": after, "new": TOPIC})) == []


@pytest.mark.parametrize(
    ("after", "why"),
    [
        ({}, "t: is gone"),
        ({"t": TOPIC | {"key": "sku"}}, "t: key 'user' became 'sku'"),
        ({"t": TOPIC | {"kind": "events"}}, "t: kind"),
        ({"t": TOPIC | {"partitions": 4}}, "t: partitions None became 4"),
        ({"t": TOPIC | {"carries": ["A"]}}, "t: carries no B any more"),
    ],
)
def test_incompatible_topics_are_found(after: dict, why: str):
    [line] = broken_topics({"t": TOPIC}, after)
    assert line.startswith(why)


def test_records_that_would_move_to_other_partitions_are_found():
    moved = NOW["places"] | {"partition": dict.fromkeys(NOW["places"]["partition"], 3)}
    assert broken("places", NOW["places"], moved)


STEP = b'{"status":"new","at":"2026-11-23T12:00:00Z","by":"order.requests-1-0"}'


def test_a_cart_of_the_release_before_is_read():
    (carts,) = CART_AGGREGATE.serdes
    row = (
        b'{"lines":{"7":2},"done":{"key:k":"purchase"},"checkouts":{},"refused":'
        b'{"cart.requests-1-0":{"code":"cart-full","text":"full"}}}'
    )
    refused = {"cart.requests-1-0": Refused(code=Code.CART_FULL, text="full")}
    cart = Cart(lines={7: 2}, processed={"key:k": "purchase"}, refused=refused)
    assert cart == carts.deserialize(row)


def test_an_order_of_the_release_before_is_read():
    (orders,) = ORDER_AGGREGATE.serdes
    row = (
        b'{"order_id":4103,"user":7,"request_id":"key:k","lines":{"1":2},"steps":['
        + STEP
        + b'],"answers":{"1":true},"closed_by":1,"done":{"key:p":"orderPayed"}}'
    )
    order = orders.deserialize(row)
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert order.history == (StatusChange(Status.NEW, noon, "order.requests-1-0"),)
    assert (order.last_answer, order.processed) == (1, {"key:p": "orderPayed"})


def test_a_reservation_of_the_release_before_is_read():
    _, entries = STOCK_AGGREGATE.serdes
    row = b'{"fate":"reserved","parcels":{"10":2},"at":"2026-11-23T12:00:00Z"}'
    entry = entries.deserialize(row)
    assert (entry.status, entry.allocation) == (ReservationStatus.RESERVED, {10: 2})
