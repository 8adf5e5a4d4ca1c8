"""Every error over HTTP is a problem document, and a bad request goes no further."""

import asyncio
import json

import pytest

from schemas.contract import Code
from tests.component.door import Door
from tests.standins.shop import Shop

MEGABYTE = 2**20
DONE = {"type": "done"}

REFUSALS = {
    Code.BAD_REQUEST: 400,
    Code.UNKNOWN_ORDER: 404,
    Code.INSUFFICIENT_STOCK: 409,
    Code.CART_EMPTY: 409,
    Code.CART_FULL: 409,
    Code.WRONG_STATUS: 409,
    Code.COUNT_TOO_LARGE: 409,
    Code.TOTAL_TOO_LARGE: 409,
    Code.KEY_REUSED: 422,
    Code.UNKNOWN_PRODUCT: 502,
    Code.PRODUCT_SERVICE: 502,
    Code.UNAVAILABLE: 503,
}

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


@pytest.fixture
async def untouched(gateway: Door, shop: Shop):
    """Assert at the end that no request was sent."""
    before = await shop.ends()
    yield gateway
    assert await shop.ends() == before


@pytest.mark.parametrize("code", Code)
async def test_a_refusal_has_the_status_of_its_code(gateway: Door, shop: Shop, code: Code):
    call = gateway.ask("/purchase", {"user": 1})
    refusal = {"type": "refused", "code": code, "text": "нет"}
    await shop.reply(await shop.request(), refusal)
    answer = await call
    assert (answer.status, answer.code) == (REFUSALS[code], code)
    assert answer.json["detail"] == "нет"


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


@pytest.mark.parametrize("path", ["/nothing", "/stocks/", "/Stocks", "//", "/%73tocks"])
async def test_an_unknown_path_is_not_found(untouched: Door, path: str):
    head = f"POST {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
    answer = await untouched.raw(head.encode())
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b'"code": "not-found"' in answer


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
async def test_a_wrong_method_is_told_the_right_one(untouched: Door, method: str):
    answer = await untouched.call(method, "/stocks")
    assert (answer.status, answer.code) == (405, "method-not-allowed")
    assert answer.headers["Allow"] == "POST"
    assert (await untouched.call("POST", "/livez")).headers["Allow"] == "GET, HEAD"


async def test_a_body_of_a_megabyte_is_read(gateway: Door, shop: Shop):
    call = asyncio.create_task(gateway.post("/stocks", b'{"sku":1}'.ljust(MEGABYTE)))
    await shop.reply(await shop.request(), {"type": "stocks", "stocks": []})
    assert (await call).status == 200


async def test_a_larger_body_is_too_large(untouched: Door):
    answer = await untouched.post("/stocks", b'{"sku":1}'.ljust(MEGABYTE + 1))
    assert (answer.status, answer.code) == (413, "too-large")


async def test_a_larger_body_is_too_large_also_in_chunks(untouched: Door):
    async def chunks():
        for _ in range(17):
            yield b" " * 2**16

    answer = await untouched.call("POST", "/stocks", chunks())
    assert (answer.status, answer.code) == (413, "too-large")


async def test_a_large_body_is_refused_before_it_is_sent(untouched: Door):
    answer = await untouched.raw(
        b"POST /stocks HTTP/1.1\r\nHost: shop\r\nExpect: 100-continue\r\n"
        b"Connection: close\r\nContent-Length: 1048577\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_client_that_waits_for_it_is_invited_to_send_its_body(untouched: Door):
    reader, writer = await asyncio.open_connection("127.0.0.1", untouched.port)
    writer.write(
        b"POST /stocks HTTP/1.1\r\nHost: shop\r\nExpect: 100-continue\r\n"
        b"Connection: close\r\nContent-Length: 2\r\n\r\n"
    )
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"{}")
    assert b"sku is missing" in await reader.read()
    writer.close()


@pytest.mark.parametrize(
    "said",
    [
        b"what?\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: shop\r\nX-Long: " + b"a" * 2**16 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-Many: a\r\n" * 1000 + b"\r\n",
        b"GET /" + b"a" * 2**16 + b" HTTP/1.1\r\nHost: shop\r\n\r\n",
        b"POST /stocks HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /stocks HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /stocks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nwhat?\r\n",
    ],
    ids=lambda said: str(said)[:30],
)
async def test_what_is_not_http_is_a_problem_too(untouched: Door, said: bytes):
    answer = await untouched.raw(said)
    assert b" 400 Bad Request\r\n" in answer
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in head
    assert json.loads(body)["code"] == "bad-request"


async def test_a_body_that_does_not_come_is_not_waited_for(open_gateway, shop: Shop):
    gateway = await open_gateway(reply_timeout_seconds=0.2)
    head = b"POST /stocks HTTP/1.1\r\nHost: shop\r\nContent-Length: 9\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(head)
    assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_when_nobody_replies_the_call_ends_in_time(open_gateway, shop: Shop):
    gateway = await open_gateway(reply_timeout_seconds=0.3)
    answer = await gateway.post("/stocks", {"sku": 1})
    assert (answer.status, answer.code) == (504, "timeout")
    await shop.request()


async def test_a_reply_that_comes_too_late_is_dropped(open_gateway, shop: Shop):
    gateway = await open_gateway(reply_timeout_seconds=1)
    assert (await gateway.post("/orderPayed", {"orderID": 1})).code == "timeout"
    late = await shop.request()
    await shop.reply(late, {"type": "refused", "code": "wrong-status", "text": "late"})
    call = gateway.ask("/orderPayed", {"orderID": 1})
    await shop.reply(await shop.request(), DONE)
    assert (await call).status == 200


async def test_more_calls_than_may_wait_are_sent_away_at_once(open_gateway, shop: Shop):
    gateway = await open_gateway(max_in_flight=2)
    waiting = [gateway.ask("/orderPayed", {"orderID": number}) for number in range(2)]
    requests = await shop.requests(2)
    answer = await gateway.post("/orderPayed", {"orderID": 3})
    assert (answer.status, answer.code) == (503, "overloaded")
    assert int(answer.headers["Retry-After"]) > 0
    for request in requests:
        await shop.reply(request, DONE)
    assert {answer.status for answer in await asyncio.gather(*waiting)} == {200}
    again = gateway.ask("/orderPayed", {"orderID": 3})
    await shop.reply(await shop.request(), DONE)
    assert (await again).status == 200


@pytest.mark.parametrize(
    "reply", [b"", b"nonsense", b'{"type":"order"}', b'{"type":"orderPlaced","orderID":1}']
)
async def test_a_reply_without_sense_is_our_fault(gateway: Door, shop: Shop, reply: bytes):
    call = gateway.ask("/orderPayed", {"orderID": 1})
    await shop.reply(await shop.request(), reply)
    answer = await call
    assert (answer.status, answer.code) == (500, "internal")


async def test_a_megabyte_of_wrong_lines_keeps_nobody_waiting(untouched: Door):
    body = b'{"user":1,"items":[' + b"{}," * 300_000 + b"{}]}"
    loop = asyncio.get_running_loop()
    began = loop.time()
    answer = await untouched.post("/createOrder", body)
    assert answer.code == "bad-request"
    assert "items.0" in answer.json["detail"]
    assert loop.time() - began < 1
