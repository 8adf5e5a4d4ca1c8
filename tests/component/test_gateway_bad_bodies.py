"""Invalid bodies are refused with a reason, and never reach Kafka."""

import asyncio
import gzip

import pytest

from tests.component.door import Door

NOT_AN_INTEGER = [
    *(b"true", b"false", b'"5"', b'""', b"1.0", b"1.5", b"1e2", b"1e400"),
    *(b"NaN", b"Infinity", b"-Infinity", b"null", b"[]", b"[1]", b"{}", b"9" * 4000),
]

NO_REQUEST = [
    *(b"", b" ", b"{", b"null", b"[]", b"5", b'"user"', b"NaN", b"user=1", b"\x00"),
    *(b"{'user': 1}", b'{"user": 1,}', b'{"user": 1} {"user": 2}', b'{"user": 01}'),
    *(b"\xff\xfe", b'{"\xff": 1}', b'{"\\ud800": 1}', '{"user": 1}'.encode("utf-16")),
    *(b"[" * 200_000, b'{"user":' * 100_000, b'{"user": ' + b"9" * 100_000 + b"}"),
]

WRONG_FIELDS = [
    ("/addToCart", {"user": 1, "sku": 1}, ["count"]),
    ("/addToCart", {}, ["user", "sku", "count"]),
    ("/addToCart", {"user": 1, "sku": 1, "count": 0}, ["count"]),
    ("/addToCart", {"user": 1, "sku": 1, "count": -1}, ["count"]),
    ("/addToCart", {"user": 1, "sku": 1, "count": 65536}, ["count"]),
    ("/addToCart", {"user": 1, "sku": 2**32, "count": 1}, ["sku"]),
    ("/addToCart", {"user": 1, "sku": -1, "count": 1}, ["sku"]),
    ("/addToCart", {"user": 2**63, "sku": 1, "count": 1}, ["user"]),
    ("/addToCart", {"user": -(2**63) - 1, "sku": 1, "count": 1}, ["user"]),
    ("/addToCart", {"user": 1, "sku": 1, "count": 1, "price": 0}, ["price"]),
    ("/addToCart", {"user": 1, "sku": 1, "count": 1, "type": "addToCart"}, ["type"]),
    ("/addToCart", {"user": 1, "sku": 1, "count": 1, "type": 5}, ["type"]),
    ("/listOrder", {"order_id": 1}, ["orderID", "order_id"]),
    ("/listOrder", {"orderID": 2**63}, ["orderID"]),
    ("/createOrder", {"user": 1, "items": []}, ["items"]),
    ("/createOrder", {"user": 1, "items": {}}, ["items"]),
    ("/createOrder", {"user": 1, "items": [5]}, ["items.0"]),
    ("/createOrder", {"user": 1, "items": [{"sku": 1, "count": 0}]}, ["items.0.count"]),
    (
        "/createOrder",
        {"user": 1, "items": [{"sku": 1, "count": 1}, {"sku": True, "count": 1}]},
        ["items.1.sku"],
    ),
    (
        "/createOrder",
        {"user": 1, "items": [{"sku": 1, "count": 65535}, {"sku": 1, "count": 1}]},
        ["items", "sku 1"],
    ),
    (
        "/createOrder",
        {"user": 1, "items": [{"sku": sku, "count": 1} for sku in range(1001)]},
        ["items", "1000"],
    ),
    ("/stocks", {"sku": "x"}, ["sku"]),
    ("/receiveStock", {"sku": 1, "warehouseID": 1, "count": 0}, ["count"]),
    ("/receiveStock", {"sku": 1, "warehouseID": 1, "count": 2**64}, ["count"]),
    ("/receiveStock", {"sku": 1, "warehouse_id": 1, "count": 1}, ["warehouseID"]),
]


@pytest.mark.parametrize(
    ("items", "detail"),
    [
        (
            [{"sku": 1, "count": "x"}],
            "items.0.count must be an integer, without quotes, fraction or exponent",
        ),
        ([], "items must not be empty"),
        (
            [{"sku": s, "count": 1} for s in range(1001)],
            "items must not be longer than 1000",
        ),
    ],
)
async def test_only_the_invalid_part_of_lines_is_named(
    untouched: Door, items: list, detail: str
):
    answer = await untouched.post("/createOrder", {"user": 1, "items": items})
    assert answer.json["detail"] == detail


DUPLICATES = [
    ("/addToCart", b'{"user":1,"sku":1,"count":1,"count":50}', "count"),
    ("/addToCart", b'{"user":1,"sku":1,"count":1,"count":1}', "count"),
    ("/addToCart", rb'{"user":1,"sku":1,"count":1,"co\u0075nt":50}', "count"),
    ("/addToCart", b'{"user":1,"user":2,"sku":1,"count":"x"}', "user"),
    ("/addToCart", b'{"user":1,"sku":1,"count":1,"x":{"a:b":1,"a:b":2}}', "x.a:b"),
    ("/listOrder", b'{"orderID" :1,"orderID" :2}', "orderID"),
    (
        "/createOrder",
        b'{"user":1,"items":[{"sku":1,"count":1},{"sku":2,"count":1,"count":2}]}',
        "items.1.count",
    ),
    (
        "/createOrder",
        b'{"user":1,"items":[{"sku":2,"count":1}],"items":[{"sku":1,"count":1}]}',
        "items",
    ),
    (
        "/createOrder",  # lines that are merged, so that the message has fewer fields
        b'{"user":1,"items":[{"sku":1,"count":1},{"sku":1,"sku":1,"count":1}]}',
        "items.1.sku",
    ),
]


@pytest.mark.parametrize(("path", "body", "name"), DUPLICATES)
async def test_a_duplicate_field_is_refused_by_name(
    untouched: Door, path: str, body: bytes, name: str
):
    answer = await untouched.post(path, body)
    assert (answer.status, answer.code) == (400, "bad-request")
    assert answer.json["detail"] == f"{name} is given more than once"


@pytest.mark.parametrize("value", NOT_AN_INTEGER, ids=lambda value: value.decode()[:20])
async def test_a_value_that_is_no_integer_is_refused_by_name(untouched: Door, value: bytes):
    answer = await untouched.post("/stocks", b'{"sku": ' + value + b"}")
    assert (answer.status, answer.code) == (400, "bad-request")
    assert "sku" in answer.json["detail"]


@pytest.mark.parametrize("body", NO_REQUEST, ids=lambda body: str(body)[:20])
async def test_a_body_that_is_no_request_is_refused(untouched: Door, body: bytes):
    answer = await untouched.post("/listCart", body)
    assert (answer.status, answer.code) == (400, "bad-request")


@pytest.mark.parametrize(("path", "body", "named"), WRONG_FIELDS)
async def test_a_wrong_field_is_named_as_on_the_wire(untouched: Door, path, body, named):
    answer = await untouched.post(path, body)
    assert (answer.status, answer.code) == (400, "bad-request")
    assert all(name in answer.json["detail"] for name in named)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (gzip.compress(b'{"sku":1}', mtime=0), "it is compressed (gzip)"),
        (b'\xef\xbb\xbf{"sku":1}', "it begins with a byte order mark (EF BB BF)"),
        ('{"sku":1}'.encode("utf-16"), "it is UTF-16 or UTF-32; JSON must be UTF-8"),
        ('{"sku":"é"}'.encode("latin-1"), "a character is not UTF-8 at line 1 column 9"),
        (b"{", "EOF while parsing an object at line 1 column 1"),
    ],
)
async def test_the_reason_why_a_body_is_not_json_is_named(
    untouched: Door, body: bytes, reason: str
):
    answer = await untouched.post("/stocks", body)
    assert (answer.status, answer.code) == (400, "bad-request")
    assert answer.json["detail"].startswith(f"the body is not JSON: {reason}")


@pytest.mark.parametrize("query", ["?user=2", "?", "?sku"])
async def test_a_query_is_refused_unless_it_is_empty(untouched: Door, query: str):
    answer = await untouched.post(f"/stocks{query}", {"sku": "x"})
    assert (answer.status, answer.code) == (400, "bad-request")
    refused = "a call takes no query: send its fields in the JSON body"
    assert (answer.json["detail"] == refused) == (query != "?")


async def test_a_megabyte_of_invalid_lines_is_refused_quickly(untouched: Door):
    body = b'{"user":1,"items":[' + b"{}," * 300_000 + b"{}]}"
    loop = asyncio.get_running_loop()
    began = loop.time()
    answer = await untouched.post("/createOrder", body)
    assert answer.code == "bad-request"
    assert "items.0" in answer.json["detail"]
    assert loop.time() - began < 2
