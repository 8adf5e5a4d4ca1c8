"""A request that makes no sense is told why, and goes no further."""

import asyncio
import gzip
import json

import pytest

from tests.component.door import Door

HEAD = b"POST /stocks HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n"

NOT_AN_INTEGER = [
    b"true",
    b"false",
    b'"5"',
    b'""',
    b"1.0",
    b"1.5",
    b"1e2",
    b"1e400",
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"null",
    b"[]",
    b"[1]",
    b"{}",
    b"9" * 4000,
]

NO_REQUEST = [
    b"",
    b" ",
    b"{",
    b"null",
    b"[]",
    b"5",
    b'"user"',
    b"NaN",
    b"user=1",
    b"{'user': 1}",
    b'{"user": 1,}',
    b'{"user": 1} {"user": 2}',
    b'{"user": 01}',
    b"\x00",
    b"\xff\xfe",
    b'{"\xff": 1}',
    b'{"\\ud800": 1}',
    '{"user": 1}'.encode("utf-16"),
    b"[" * 200_000,
    b'{"user":' * 100_000,
    b'{"user": ' + b"9" * 100_000 + b"}",
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
    ("items", "told"),
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
async def test_of_lines_nothing_is_told_but_what_is_wrong(
    untouched: Door, items: list, told: str
):
    answer = await untouched.post("/createOrder", {"user": 1, "items": items})
    assert answer.json["detail"] == told


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
        "/createOrder",  # lines that are merged, so that fields are fewer than in the text
        b'{"user":1,"items":[{"sku":1,"count":1},{"sku":1,"sku":1,"count":1}]}',
        "items.1.sku",
    ),
]


@pytest.mark.parametrize(("path", "body", "name"), DUPLICATES)
async def test_a_field_that_is_given_twice_is_refused_by_name(
    untouched: Door, path: str, body: bytes, name: str
):
    answer = await untouched.post(path, body)
    assert (answer.status, answer.code) == (400, "bad-request")
    assert answer.json["detail"] == f"{name} is given more than once"


@pytest.mark.parametrize("value", NOT_AN_INTEGER, ids=lambda value: value.decode()[:20])
async def test_what_is_not_an_integer_is_refused_by_name(untouched: Door, value: bytes):
    answer = await untouched.post("/stocks", b'{"sku": ' + value + b"}")
    assert (answer.status, answer.code) == (400, "bad-request")
    assert "sku" in answer.json["detail"]


@pytest.mark.parametrize("body", NO_REQUEST, ids=lambda body: str(body)[:20])
async def test_what_is_not_a_request_is_refused(untouched: Door, body: bytes):
    answer = await untouched.post("/listCart", body)
    assert (answer.status, answer.code) == (400, "bad-request")


@pytest.mark.parametrize(("path", "body", "named"), WRONG_FIELDS)
async def test_a_wrong_field_is_named_as_on_the_wire(untouched: Door, path, body, named):
    answer = await untouched.post(path, body)
    assert (answer.status, answer.code) == (400, "bad-request")
    assert all(name in answer.json["detail"] for name in named)


@pytest.mark.parametrize(
    "key", ["", '""', "a b", "k" * 129, f'"{"k" * 129}"', "ключ", "a\tb", "é"]
)
async def test_what_is_no_idempotency_key_is_refused(untouched: Door, key: str):
    answer = await untouched.post("/stocks", {"sku": 1}, {"Idempotency-Key": key})
    assert (answer.status, answer.code) == (400, "bad-request")
    assert "Idempotency-Key" in answer.json["detail"]


async def test_two_idempotency_keys_are_none(untouched: Door):
    answer = await untouched.raw(
        b"POST /stocks HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Length: 9\r\n"
        b'Idempotency-Key: a\r\nidempotency-key: a\r\n\r\n{"sku":1}'
    )
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "said",
    [
        b"what?\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: shop\r\nHost: shop\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /stocks HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /stocks HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /stocks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nwhat?\r\n",
        HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n",
        HEAD + b"Content-Length: 9\r\nContent-Length: 9\r\n\r\n",
    ],
    ids=lambda said: str(said)[:30],
)
async def test_what_is_not_http_is_a_problem_too(untouched: Door, said: bytes):
    answer = await untouched.raw(said)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in head
    assert json.loads(body)["code"] == "bad-request"


@pytest.mark.parametrize(
    ("sent", "status", "code", "detail"),
    [
        (
            HEAD + b"X-Long: " + b"a" * 20_000 + b"\r\n\r\n",
            431,
            "headers-too-large",
            "a header has at most 8192 bytes, its name included",
        ),
        (
            HEAD + b"X" * 20_000 + b": a\r\n\r\n",
            431,
            "headers-too-large",
            "a header has at most 8192 bytes, its name included",
        ),
        (
            HEAD + b"X-Many: a\r\n" * 200 + b"\r\n",
            431,
            "headers-too-large",
            "a request has at most 128 headers",
        ),
        (
            b"POST /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: shop\r\n\r\n",
            414,
            "uri-too-long",
            "a request target has at most 8190 bytes",
        ),
        (
            HEAD + b"Content-Length: 9\r\nExpect: 200-ok\r\n\r\n",
            417,
            "expectation-failed",
            "Expect 200-ok: only 100-continue is supported",
        ),
        (
            HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            501,
            "unsupported-transfer-encoding",
            "Transfer-Encoding gzip: only chunked is supported",
        ),
    ],
)
async def test_what_http_has_and_the_gateway_has_not_is_named(
    untouched: Door, sent: bytes, status: int, code: str, detail: str
):
    answer = await untouched.raw(sent)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    problem = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["detail"] == detail


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "x-gzip", "identity, gzip"])
@pytest.mark.parametrize("body", [b'{"sku":1}', gzip.compress(b'{"sku":1}')])
async def test_an_encoded_body_is_not_taken(untouched: Door, encoding: str, body: bytes):
    headers = {"Content-Encoding": encoding}
    answer = await untouched.post("/stocks", body, headers)
    assert (answer.status, answer.code) == (415, "unsupported-encoding")
    assert answer.headers["Accept-Encoding"] == "identity"
    assert "encoded bodies are not supported" in answer.json["detail"]


async def test_a_client_with_an_encoded_body_is_not_invited_to_send_it(untouched: Door):
    answer = await untouched.raw(
        HEAD + b"Content-Length: 9\r\nContent-Encoding: gzip\r\n"
        b"Expect: 100-continue\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 415 ")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (gzip.compress(b'{"sku":1}'), "it is compressed (gzip)"),
        (b'\xef\xbb\xbf{"sku":1}', "it begins with a byte order mark (EF BB BF)"),
        ('{"sku":1}'.encode("utf-16"), "it is UTF-16 or UTF-32; JSON must be UTF-8"),
        ('{"sku":"é"}'.encode("latin-1"), "a character is not UTF-8 at line 1 column 9"),
        (b"{", "EOF while parsing an object at line 1 column 1"),
    ],
)
async def test_what_is_not_json_is_named(untouched: Door, body: bytes, reason: str):
    answer = await untouched.post("/stocks", body)
    assert (answer.status, answer.code) == (400, "bad-request")
    assert answer.json["detail"].startswith(f"the body is not JSON: {reason}")


@pytest.mark.parametrize("query", ["?user=2", "?", "?sku"])
async def test_a_query_is_refused_unless_it_is_empty(untouched: Door, query: str):
    answer = await untouched.post(f"/stocks{query}", {"sku": "x"})
    assert (answer.status, answer.code) == (400, "bad-request")
    refused = "a call takes no query: send its fields in the JSON body"
    assert (answer.json["detail"] == refused) == (query != "?")


async def test_a_megabyte_of_wrong_lines_keeps_nobody_waiting(untouched: Door):
    body = b'{"user":1,"items":[' + b"{}," * 300_000 + b"{}]}"
    loop = asyncio.get_running_loop()
    began = loop.time()
    answer = await untouched.post("/createOrder", body)
    assert answer.code == "bad-request"
    assert "items.0" in answer.json["detail"]
    assert loop.time() - began < 2
