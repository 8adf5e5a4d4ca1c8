"""Contracts, byte for byte: messages, ranges and precision."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.routes import ROUTES
from schemas.cart import EraseCart
from schemas.contract import Contract
from schemas.order import AnonymizeOrder, CreateOrder, OrderStatusChanged, StockReserved
from schemas.stock import ReceiveStock, Reserve, StocksView
from tests.contract.goldens import GOLDENS
from topics.catalog import TOPICS

INT64 = (-(2**63), 2**63 - 1)
UINT32 = (0, 2**32 - 1)
RANGES = {
    "user": INT64,
    "orderID": INT64,
    "warehouseID": INT64,
    "sku": UINT32,
    "price": UINT32,
    "totalPrice": UINT32,
    "count": (1, 65535),
    "available": (0, 65535),
    "unpaidSeconds": (0, 2**31 - 1),
    "retentionDays": (2, 36_500),
}
GOODS = (1, 2**64 - 1)
IN_WAREHOUSES = (ReceiveStock, StocksView)

NOT_AN_INTEGER = [
    *("true", "false", '"5"', '""', "1.0", "0.5", "1e2", "1e400", "NaN", "-Infinity"),
    *("[]", "[1]", "{}"),
]
EDGES = [-1, 0, 1, 65535, 65536, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64]
EDGES += [2**64 - 1, -(2**63), -(2**63) - 1]

Place = tuple[type[Contract], tuple[str | int, ...]]


def integers(document: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple]:
    """Find every integer of a document."""
    match document:
        case bool() | str():
            return
        case int():
            yield path
        case dict():
            for name, inner in document.items():
                yield from integers(inner, (*path, name))
        case list():
            for number, inner in enumerate(document):
                yield from integers(inner, (*path, number))


PLACES: list[Place] = [
    (contract, path)
    for contract, golden in GOLDENS.items()
    for path in integers(json.loads(golden))
]


def named(value: object) -> str:
    """Name a place in the list of tests."""
    match value:
        case type():
            return value.__name__
        case tuple():
            return ".".join(map(str, value))
    return str(value)[:20]


def with_value(contract: type[Contract], path: tuple, value: str) -> bytes:
    """Put a piece of JSON into a contract's golden example."""
    document = json.loads(GOLDENS[contract])
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = "HERE"
    return json.dumps(document).replace('"HERE"', value).encode()


def read(contract: type[Contract], text: bytes) -> Contract:
    """Read a message as both doors do."""
    return TypeAdapter(contract).validate_json(text, by_alias=True, by_name=False)


def limits(contract: type[Contract], path: tuple) -> tuple[float, float]:
    """Say from where to where a number may go."""
    if path[-1] == "count" and contract in IN_WAREHOUSES:
        return GOODS
    assert path[-1] in RANGES, f"say in RANGES from where to where {path[-1]} may go"
    return RANGES[path[-1]]


def test_every_message_has_an_example():
    everything = {contract for topic in TOPICS for contract in topic.contracts}
    assert everything == GOLDENS.keys()


@pytest.mark.parametrize("contract", GOLDENS, ids=named)
def test_a_message_is_written_as_it_was_read(contract: type[Contract]):
    golden = GOLDENS[contract].encode()
    assert read(contract, golden).to_json() == golden


@pytest.mark.parametrize("topic", [t for t in TOPICS if t.carries], ids=lambda t: t.name)
def test_a_topic_knows_its_messages_by_their_type(topic):
    for contract in topic.contracts:
        message = topic.decode(GOLDENS[contract].encode())
        assert type(message) is contract
        assert not topic.key or topic.key_of(message).decode().lstrip("-").isdigit()


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(("contract", "path"), PLACES, ids=named)
def test_a_number_is_exact_or_refused(contract, path, edge: int):
    low, high = limits(contract, path)
    text = with_value(contract, path, str(edge))
    if low <= edge <= high:
        found = json.loads(read(contract, text).to_json())
        for step in path:
            found = found[step]
        assert found == edge
    else:
        with pytest.raises(ValidationError) as refused:
            read(contract, text)
        assert refused.value.errors()[0]["loc"] == path


@pytest.mark.parametrize("value", NOT_AN_INTEGER, ids=named)
@pytest.mark.parametrize(("contract", "path"), PLACES, ids=named)
def test_what_is_not_an_integer_is_refused(contract, path, value: str):
    with pytest.raises(ValidationError) as refused:
        read(contract, with_value(contract, path, value))
    assert refused.value.errors()[0]["loc"] in {path, ()}


ASKED_BY_PEOPLE = {route.request for route in ROUTES} | {EraseCart, AnonymizeOrder}


@pytest.mark.parametrize("contract", GOLDENS, ids=named)
def test_an_unknown_field_is_refused_in_client_requests_only(
    contract: type[Contract],
):
    golden = GOLDENS[contract].removesuffix("}")
    newer = f'{golden},"unknown":1}}'.encode()
    if contract in ASKED_BY_PEOPLE:
        with pytest.raises(ValidationError):
            read(contract, newer)
    else:
        assert read(contract, newer).to_json() == GOLDENS[contract].encode()


@pytest.mark.parametrize("contract", GOLDENS, ids=named)
def test_a_field_goes_by_its_name_on_the_wire_alone(contract: type[Contract]):
    aliases = {
        name: field.alias for name, field in contract.model_fields.items() if field.alias
    }
    for name, alias in aliases.items():
        with pytest.raises(ValidationError):
            read(contract, GOLDENS[contract].replace(alias, name).encode())


@pytest.mark.parametrize("contract", GOLDENS, ids=named)
def test_every_field_is_required_but_the_type_and_newer_ones(contract: type[Contract]):
    document = json.loads(GOLDENS[contract])
    newer = {"at"} if contract is Reserve else set()
    for name in document.keys() - {"type"} - newer:
        rest = {other: value for other, value in document.items() if other != name}
        with pytest.raises(ValidationError):
            read(contract, json.dumps(rest).encode())


def test_the_same_sku_twice_is_one_line_with_the_sum():
    lines = '[{"sku":9,"count":1},{"sku":2,"count":65534},{"sku":2,"count":1}]'
    order = read(CreateOrder, f'{{"user":1,"items":{lines}}}'.encode())
    assert [(item.sku, item.count) for item in order.items] == [(2, 65535), (9, 1)]
    with pytest.raises(ValidationError, match="add up to over 65535"):
        read(
            CreateOrder, f'{{"user":1,"items":{lines.replace("65534", "65535")}}}'.encode()
        )


@pytest.mark.parametrize("value", ["0", "1", '"true"', "null"])
def test_only_a_json_boolean_is_a_boolean(value: str):
    with pytest.raises(ValidationError):
        read(StockReserved, with_value(StockReserved, ("reserved",), value))


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"])
def test_a_time_outside_the_years_of_utc_is_refused(at: str):
    with pytest.raises(ValidationError, match="in UTC"):
        read(OrderStatusChanged, with_value(OrderStatusChanged, ("at",), f'"{at}"'))
