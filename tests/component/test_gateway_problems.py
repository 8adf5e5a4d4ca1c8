"""Every error over HTTP is a problem document, as the table of problems has it."""

import asyncio

import aiohttp
import pytest

from gateway.app import Gateway
from gateway.server import serving
from gateway.settings import Settings
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


@pytest.mark.parametrize("code", Code)
async def test_a_refusal_has_the_status_of_its_code(gateway: Door, shop: Shop, code: Code):
    call = gateway.begin("/purchase", {"user": 1})
    refusal = {"type": "refused", "code": code, "text": "нет"}
    await shop.reply(await shop.request(), refusal)
    answer = await call
    assert (answer.status, answer.code) == (REFUSALS[code], code)
    assert answer.json["detail"] == "нет"


@pytest.mark.parametrize("path", ["/nothing", "/stocks/", "/Stocks", "//", "/%73tocks"])
async def test_an_unknown_path_is_not_found(untouched: Door, path: str):
    head = f"POST {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
    answer = await untouched.raw(head.encode())
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b'"code": "not-found"' in answer


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
async def test_a_wrong_method_gets_the_allowed_ones(untouched: Door, method: str):
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


async def test_a_larger_body_in_chunks_is_too_large(untouched: Door):
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


async def test_a_client_that_expects_100_continue_gets_it(untouched: Door):
    reader, writer = await asyncio.open_connection("127.0.0.1", untouched.port)
    writer.write(
        b"POST /stocks HTTP/1.1\r\nHost: shop\r\nExpect: 100-continue\r\n"
        b"Connection: close\r\nContent-Length: 2\r\n\r\n"
    )
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"{}")
    assert b"sku is missing" in await reader.read()
    writer.close()


async def test_a_client_of_http_1_0_gets_no_100_continue(untouched: Door):
    reader, writer = await asyncio.open_connection("127.0.0.1", untouched.port)
    writer.write(
        b"POST /stocks HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    )
    writer.write(b"{")
    # A response to another request shows that `100 Continue` would have been sent by now.
    assert (await untouched.call("GET", "/livez")).status == 200
    writer.write(b"}")
    assert (await reader.readline()).startswith(b"HTTP/1.0 400 ")
    assert b"sku is missing" in await reader.read()
    writer.close()


async def test_an_expectation_of_http_1_0_is_ignored(gateway: Door, shop: Shop):
    call = asyncio.create_task(
        gateway.raw(
            b'POST /stocks HTTP/1.0\r\nExpect: cake\r\nContent-Length: 9\r\n\r\n{"sku":1}'
        )
    )
    await shop.reply(await shop.request(), {"type": "stocks", "stocks": []})
    assert (await call).startswith(b"HTTP/1.0 200 OK\r\n")


@pytest.mark.parametrize(
    "head",
    [
        b"POST http://shop:8080/stocks HTTP/1.1\r\nHost: shop\r\n",
        b"POST /stocks HTTP/1.1\r\nHost: shop\r\nContent-Encoding: identity\r\n",
        b"POST /stocks HTTP/1.1\r\nHost: shop\r\nContent-Encoding:\r\n",
        b"POST /stocks HTTP/1.1\r\nHost: shop\r\nAccept: text/html\r\n",
        b"POST /stocks HTTP/1.1\r\nHost: shop\r\nX-Long: " + b"a" * 8000 + b"\r\n",
        (
            b"POST /stocks HTTP/1.1\r\nHost: shop\r\n"
            b"Content-Type: application/json; charset=latin-1\r\n"
        ),
    ],
    ids=lambda head: head.decode()[:90],
)
async def test_what_http_leaves_to_the_client_is_served(
    gateway: Door, shop: Shop, head: bytes
):
    sent = head + b'Connection: close\r\nContent-Length: 9\r\n\r\n{"sku":1}'
    call = asyncio.create_task(gateway.raw(sent))
    await shop.reply(await shop.request(), {"type": "stocks", "stocks": []})
    answer = await call
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nConnection: close\r\n" in answer


async def test_head_of_a_call_has_no_body(untouched: Door):
    answer = await untouched.call("HEAD", "/stocks")
    assert (answer.status, answer.headers["Allow"], answer.body) == (405, "POST", b"")


async def test_a_body_that_does_not_arrive_times_out(open_gateway, shop: Shop):
    gateway = await open_gateway(reply_timeout_seconds=0.2)
    head = b"POST /stocks HTTP/1.1\r\nHost: shop\r\nContent-Length: 9\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(head)
    assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_a_call_without_a_reply_times_out(open_gateway, shop: Shop):
    gateway = await open_gateway(reply_timeout_seconds=0.3)
    answer = await gateway.post("/stocks", {"sku": 1})
    assert (answer.status, answer.code) == (504, "timeout")
    await shop.request()


async def test_a_late_reply_is_dropped(open_gateway, shop: Shop):
    gateway = await open_gateway(reply_timeout_seconds=1)
    assert (await gateway.post("/orderPayed", {"orderID": 1})).code == "timeout"
    late = await shop.request()
    await shop.reply(late, {"type": "refused", "code": "wrong-status", "text": "late"})
    call = gateway.begin("/orderPayed", {"orderID": 1})
    await shop.reply(await shop.request(), DONE)
    assert (await call).status == 200


async def test_calls_above_the_limit_are_refused_at_once(open_gateway, shop: Shop):
    gateway = await open_gateway(max_in_flight=2)
    waiting = [gateway.begin("/orderPayed", {"orderID": number}) for number in range(2)]
    requests = await shop.requests(2)
    answer = await gateway.post("/orderPayed", {"orderID": 3})
    assert (answer.status, answer.code) == (503, "overloaded")
    assert int(answer.headers["Retry-After"]) > 0
    for request in requests:
        await shop.reply(request, DONE)
    assert {answer.status for answer in await asyncio.gather(*waiting)} == {200}
    again = gateway.begin("/orderPayed", {"orderID": 3})
    await shop.reply(await shop.request(), DONE)
    assert (await again).status == 200


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"nonsense",
        b'{"type":"done",',
        b'{"type":"order"}',
        b'{"type":"orderPlaced","orderID":1}',
    ],
)
async def test_an_invalid_reply_is_an_internal_error(
    gateway: Door, shop: Shop, reply: bytes
):
    call = gateway.begin("/orderPayed", {"orderID": 1})
    await shop.reply(await shop.request(), reply)
    answer = await call
    assert (answer.status, answer.code) == (500, "internal")


async def test_an_invalid_line_of_a_cart_is_an_internal_error(gateway: Door, shop: Shop):
    call = gateway.begin("/listCart", {"user": 1})
    await shop.reply(
        await shop.request(), b'{"type":"cart","items":[{"sku":1}],"totalPrice":0}'
    )
    answer = await call
    assert (answer.status, answer.code) == (500, "internal")


class Broken:
    """A client with an unexpected error."""

    ready = True

    async def request(self, *_: object) -> bytes:
        raise RuntimeError("secret")


async def test_an_unexpected_error_is_logged_and_not_shown(caplog):
    settings = Settings(gateway_port=0)
    async with (
        serving(Gateway(Broken(), {}, settings), settings) as port,
        aiohttp.ClientSession() as session,
    ):
        answer = await Door(session, port).post("/stocks", {"sku": 1})
    assert (answer.status, answer.code) == (500, "internal")
    assert b"secret" not in answer.body
    assert "secret" in caplog.text
