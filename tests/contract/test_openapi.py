"""The OpenAPI document: valid, complete, and true of what the gateway does."""

import json

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.body import parse
from gateway.openapi import document
from gateway.problems import KINDS, Problem
from gateway.routes import ROUTES
from schemas.contract import Code

DOCUMENT = document()
BODIES = [
    *({}, {"user": 1}, {"user": 2**63}, {"user": "1"}, {"user": True}, {"user": 1.5}),
    *({"orderID": -1}, {"order_id": 1}, {"sku": 2**32 - 1}, {"sku": 2**32}),
    *({"user": 1, "type": "listCart"}, {"user": 1, "more": 1}, [], 5, None),
    {"user": 1, "sku": 1, "count": 65535},
    {"user": 1, "sku": 1, "count": 0},
    {"user": 1, "items": []},
    {"user": 1, "items": [{"sku": 1, "count": 1}]},
    {"user": 1, "items": [{"sku": 1, "count": 1}] * 1001},
    {"sku": 1, "warehouseID": -1, "count": 2**64 - 1},
    {"sku": 1, "warehouseID": -1, "count": 2**64},
]


def test_the_document_is_valid():
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_route_has_one_operation_and_every_code_is_documented():
    posts = {path for path, item in DOCUMENT["paths"].items() if "post" in item}
    assert posts == {route.path for route in ROUTES}
    said = json.dumps(DOCUMENT["paths"])
    assert [code for code in Code if f"`{code}`" not in said] == []


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_the_schema_of_a_body_takes_what_the_gateway_takes(route):
    reference = f"#/components/schemas/{route.asks.__name__}"
    schema = {"$ref": reference, "components": DOCUMENT["components"]}
    valid = Draft202012Validator(schema).is_valid
    for body in BODIES:
        raw = json.dumps(body).encode()
        try:
            parse(route, raw)
        except Problem:
            assert not valid(body), (route.path, body)
        else:
            assert valid(body), (route.path, body)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_the_refusals_of_a_call_are_among_its_responses(route):
    responses = DOCUMENT["paths"][route.path]["post"]["responses"]
    for code in route.refuses:
        assert f"`{code}`" in responses[str(KINDS[code].status.value)]["description"]
