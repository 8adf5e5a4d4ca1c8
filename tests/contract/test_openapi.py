"""The OpenAPI document: valid, complete, and the same as the gateway's behaviour."""

import json

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.openapi import document
from gateway.problems import PROBLEM_TYPES, GatewayError, Problem
from gateway.requests import parse
from gateway.routes import ROUTES
from schemas.contract import Code
from schemas.examples import EXAMPLES

DOCUMENT = document()
PATHLESS = {
    GatewayError.NOT_FOUND,
    GatewayError.METHOD_NOT_ALLOWED,
    GatewayError.URI_TOO_LONG,
}  # no call ends with these
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
    text = json.dumps(DOCUMENT["paths"])
    codes = {*Code, *GatewayError} - PATHLESS
    assert [code for code in codes if f"`{code}`" not in text] == []
    about = DOCUMENT["info"]["description"]
    assert [code for code in PATHLESS if f"`{code}`" not in about] == []


def valid(schema: dict, body: object) -> bool:
    whole = {**schema, "components": DOCUMENT["components"]}
    return Draft202012Validator(whole).is_valid(body)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_the_schema_of_a_body_accepts_the_same_as_the_gateway(route):
    schema = {"$ref": f"#/components/schemas/{route.request.__name__}"}
    for body in BODIES:
        raw = json.dumps(body).encode()
        try:
            parse(route, raw)
        except Problem:
            assert not valid(schema, body), (route.path, body)
        else:
            assert valid(schema, body), (route.path, body)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_the_refusals_of_a_call_are_among_its_responses(route):
    responses = DOCUMENT["paths"][route.path]["post"]["responses"]
    for code in route.errors:
        status, _ = PROBLEM_TYPES[code]
        response = responses[str(status)]
        assert f"`{code}`" in response["description"]
        assert code in response["content"]["application/problem+json"]["examples"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_every_body_has_a_valid_example(route):
    operation = DOCUMENT["paths"][route.path]["post"]
    request = operation["requestBody"]["content"]["application/json"]
    assert (
        parse(route, json.dumps(request["example"]).encode())
        == EXAMPLES[route.request].request
    )
    responses = operation["responses"].values()
    bodies = [body for one in responses for body in one["content"].values()]
    for body in (request, *bodies):
        shown = [e["value"] for e in body.get("examples", {}).values()]
        shown += [body["example"]] if "example" in body else []
        assert shown
        assert all(valid(body["schema"], json.loads(json.dumps(e))) for e in shown)


OTHER_ROLES = {  # in addition to operators
    "/orderPayed": "`payments`",
    "/listOrder": "`customer`, `payments`",
    "/receiveStock": "",
}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_a_call_has_a_security_scheme_and_names_its_roles(route):
    locked, open_ = document(is_locked=True), DOCUMENT
    assert locked["components"]["securitySchemes"]["token"].items() >= {
        ("type", "http"),
        ("scheme", "bearer"),
    }
    operation = locked["paths"][route.path]["post"]
    assert operation["security"] == [{"token": []}]
    assert open_["paths"][route.path]["post"]["security"] == [{}, {"token": []}]
    others = OTHER_ROLES.get(route.path, "`customer`")
    roles = ", ".join(filter(None, [others, "`operator`"]))
    assert operation["description"].endswith(f"Roles: {roles}.")
    for status in ("401", "403"):
        challenge = operation["responses"][status]["headers"]["WWW-Authenticate"]
        assert challenge["required"]


def test_probes_and_documents_need_no_token():
    for path, item in document(is_locked=True)["paths"].items():
        if "get" in item:
            assert item["get"]["security"] == [], path


def test_a_gateway_with_tokens_has_a_valid_document():
    OpenAPIV31SpecValidator(document(is_locked=True)).validate()
