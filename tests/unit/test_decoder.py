"""A field that is given twice is refused, wherever it is and however it is written."""

import json
from typing import get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from schemas.contract import Contract
from schemas.decoder import Decoder, require_unique
from schemas.examples import EXAMPLES
from topics.catalog import (
    CART_REQUESTS,
    ORDER_EVENTS,
    ORDER_REQUESTS,
    STOCK_REQUESTS,
    TOPICS,
)
from topics.topic import Topic

EVENT = (
    b'{"type":"orderStatusChanged","orderID":1,"user":1,"status":"new",'
    b'"items":[{"sku":1,"count":1}],"at":"2026-01-01T00:00:00Z"%s}'
)
DUPLICATES = [
    (CART_REQUESTS, b'{"type":"addToCart","user":1,"sku":1,"count":1,"count":50}', "count"),
    (CART_REQUESTS, b'{"type":"listCart","type":"purchase","user":1}', "type"),
    (CART_REQUESTS, b'{"type":"purchase","user":1,"type":"purchase"}', "type"),
    (CART_REQUESTS, b'{"type":"nothing","user":1,"type":"else"}', "type"),
    (STOCK_REQUESTS, rb'{"type":"stocks","sku":1,"\u0073ku":2}', "sku"),
    (STOCK_REQUESTS, b'{"type":"stocks","sku":1, "sku"\n:\t2}', "sku"),
    (
        STOCK_REQUESTS,
        b'{"type":"checkStock","sku":1,"user":1,"count":1,"x":{"":0,"":0}}',
        0,
    ),
    (
        ORDER_REQUESTS,
        b'{"type":"createOrder","user":1,"items":[{"sku":1,"sku":1,"count":1}]}',
        "items.0.sku",
    ),
    (ORDER_EVENTS, EVENT % b',"at":"2026-01-01T00:00:00Z"', "at"),
    (ORDER_EVENTS, EVENT % b',"more":1,"more":2', "more"),
]
UNIQUE = [
    (CART_REQUESTS, b' {"type" : "addToCart", "user" : 1, "sku" : 1, "count" : 2}\n'),
    (ORDER_EVENTS, EVENT % b""),
    (ORDER_EVENTS, EVENT % b',"more":{"more":{"user":":\\":"}}'),
    (ORDER_EVENTS, EVENT % b',"more":[%s,1e999,NaN,-Infinity]' % (b"9" * 4300)),
    (ORDER_EVENTS, EVENT % b',"more":%s%s' % (b"[" * 190, b"]" * 190)),
    (
        CART_REQUESTS,
        (
            b'{"type":"orderSettled","user":1,"purchase":"key:\\u003a\\"user\\":1",'
            b'"orderID":1,"status":"paid"}'
        ),
    ),
    (
        ORDER_REQUESTS,
        (
            b'{"type":"createOrder","user":1,"items":[{"sku":2,"count":1},'
            b'{"sku":1,"count":1},{"sku":2,"count":1}]}'
        ),
    ),
]


@pytest.mark.parametrize(("topic", "value", "name"), DUPLICATES)
def test_a_duplicate_is_refused_by_its_path(topic: Topic, value: bytes, name: str):
    with pytest.raises(ValidationError) as refused:
        topic.decode(value)
    [error] = refused.value.errors()
    assert error["type"] == "duplicate_field"
    assert ".".join(map(str, error["loc"])) == (name or "x.")


@pytest.mark.parametrize(("topic", "value"), UNIQUE)
def test_colons_elsewhere_and_unknown_fields_are_no_duplicates(topic: Topic, value: bytes):
    assert topic.decode(value)


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The values that were searched for duplicates."""
    values: list[bytes] = []
    monkeypatch.setattr("schemas.decoder.require_unique", values.append)
    return values


@pytest.mark.parametrize("contract", EXAMPLES)
def test_each_call_is_decoded_without_a_search(
    contract: type[Contract], searched: list[bytes]
):
    example = EXAMPLES[contract].request
    assert Decoder(contract).decode(example.to_json()) == example
    assert searched == []


def test_colons_within_texts_of_the_shop_need_no_search(searched: list[bytes]):
    ORDER_EVENTS.decode(EVENT % b"")
    CART_REQUESTS.decode(
        b'{"type":"orderSettled","user":1,"purchase":"key:a","orderID":1,"status":"paid"}'
    )
    assert searched == []


def test_the_tuples_of_each_contract_are_of_contracts():
    tuples = [
        get_args(field.annotation)[0]
        for topic in TOPICS
        for contract in topic.contracts
        for field in contract.model_fields.values()
        if get_origin(field.annotation) is tuple
    ]
    assert len(tuples) >= 4
    assert all(issubclass(item, Contract) for item in tuples)


class Tree(BaseModel, frozen=True, extra="ignore"):
    """A contract's way with unknown fields, and a field or two."""

    a: object = None
    b: object = None


# Fields with colons, quotes and escapes; few of them, so that duplicates come about.
SEPARATORS = st.sampled_from([":", " : ", "\n:", ":\t"])
NAMES = st.sampled_from(["a", "b", ":", '"', "\\", "é", "a:"])
SCALARS = st.one_of(st.integers(), st.booleans(), st.sampled_from([":", '"a":', "\\", ""]))


def _object(fields: list[tuple[str, str]], separator: str) -> str:
    return "{" + ",".join(f"{json.dumps(n)}{separator}{v}" for n, v in fields) + "}"


TEXTS = st.recursive(
    SCALARS.map(json.dumps),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
        st.builds(
            _object,
            st.lists(st.tuples(NAMES, inner), max_size=3),
            SEPARATORS,
        ),
    ),
    max_leaves=8,
)


def _has_duplicates(text: str) -> bool:
    found = False

    def look(fields: list[tuple[str, object]]) -> None:
        nonlocal found
        found = found or len({name for name, _ in fields}) < len(fields)

    json.loads(text, object_pairs_hook=look)
    return found


@given(st.builds(_object, st.lists(st.tuples(NAMES, TEXTS), max_size=4), SEPARATORS))
def test_exactly_what_has_duplicates_is_refused(text: str):
    refused = False
    try:
        Decoder(Tree).decode(text.encode())
    except ValidationError:
        refused = True
    assert refused == _has_duplicates(text)


def test_the_path_of_the_first_duplicate_is_named():
    with pytest.raises(ValidationError, match=r"\[type=duplicate_field\]") as refused:
        require_unique('[{"a":{}},{"a":[{"b":1},{"c":1,"b":2,"c":3}]}]')
    assert refused.value.errors()[0]["loc"] == (1, "a", 1, "c")
