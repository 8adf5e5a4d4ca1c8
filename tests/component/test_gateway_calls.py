"""Valid calls: the requests that the gateway sends, and its responses."""

import asyncio
import json
import re
from typing import NamedTuple

import pytest

from tests.component.door import Door
from tests.standins.shop import Shop

DONE = {"type": "done"}
BIG = 9223372036854775807  # the greatest int64
MOST = 4294967295  # the greatest uint32
ODD = 9007199254740993  # the least that a double can't hold
ITEMS = [{"sku": 1, "count": 2}]
CART = {"items": [{"sku": 1, "count": 2, "name": "Boots", "price": 3}], "totalPrice": 6}
ORDER = {"status": "awaiting payment", "user": 7, "items": ITEMS}
STOCKS = {"stocks": [{"warehouseID": -5, "count": 18446744073709551615}]}

PLACED = {"type": "orderPlaced", "orderID": ODD}


class Call(NamedTuple):
    """A call, where its record goes under which key, and the reply to it."""

    path: str
    body: dict
    topic: str
    key: str
    reply: dict = DONE


CALLS = [
    Call("/addToCart", {"user": 7, "sku": 1, "count": 2}, "cart", "7"),
    Call("/deleteFromCart", {"user": 7, "sku": 1, "count": 2}, "cart", "7"),
    Call("/listCart", {"user": 7}, "cart", "7", {"type": "cart"} | CART),
    Call("/purchase", {"user": 7}, "cart", "7", PLACED),
    Call("/purchases", {"user": 7}, "cart", "7", PLACED),
    Call("/createOrder", {"user": 4103, "items": ITEMS}, "order", "7", PLACED),
    Call("/listOrder", {"orderID": -1}, "order", "4095", {"type": "order"} | ORDER),
    Call("/orderPayed", {"orderID": 8192}, "order", "0"),
    Call("/cancelOrder", {"orderID": 8193}, "order", "1"),
    Call("/stocks", {"sku": MOST}, "stock", str(MOST), {"type": "stocks"} | STOCKS),
    Call("/receiveStock", {"sku": 9, "warehouseID": BIG, "count": 2**64 - 1}, "stock", "9"),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.path)
async def test_each_call_reaches_its_owner_and_returns_the_reply(
    gateway: Door, shop: Shop, call: Call
):
    pending = gateway.begin(call.path, call.body)
    request = await shop.request()
    assert request.topic == f"{call.topic}.requests"
    assert request.key == call.key.encode()
    kind = call.path.removeprefix("/").replace("purchases", "purchase")
    assert json.loads(request.value) == call.body | {"type": kind}
    await shop.reply(request, call.reply)
    answer = await pending
    assert (answer.status, answer.kind) == (200, "application/json")
    assert answer.json | {"type": call.reply["type"]} == call.reply
    assert "type" not in answer.json


@pytest.mark.parametrize("user", [BIG, ODD, -BIG - 1, 0])
async def test_a_user_is_exact_to_the_last_digit(gateway: Door, shop: Shop, user: int):
    call = gateway.begin("/addToCart", {"user": user, "sku": 1, "count": 65535})
    request = await shop.request()
    assert request.key == str(user).encode()
    assert f'"user":{user},'.encode() in request.value.replace(b" ", b"")
    await shop.reply(request, DONE)
    assert (await call).status == 200


async def test_a_reply_is_exact_to_the_last_digit(gateway: Door, shop: Shop):
    call = gateway.begin("/stocks", {"sku": 1})
    counts = [1, 2**53 + 1, 2**63 - 1, 2**64 - 1]
    stocks = [{"warehouseID": ODD, "count": count} for count in counts]
    await shop.reply(await shop.request(), {"type": "stocks", "stocks": stocks})
    answer = (await call).body.decode()
    assert [int(n) for n in re.findall(r'"count": ?(\d+)[,}]', answer)] == counts
    assert f'"warehouseID":{ODD},' in answer.replace(" ", "")


async def test_names_in_any_alphabet_are_returned_unchanged(gateway: Door, shop: Shop):
    call = gateway.begin("/listCart", {"user": 1})
    line = {"sku": 1, "count": 1, "name": 'Кроссовки "Nike" 👟', "price": 1}
    reply = {"type": "cart", "items": [line], "totalPrice": 1}
    await shop.reply(await shop.request(), reply)
    assert (await call).json["items"] == [line]


@pytest.mark.parametrize(
    "reply",
    [
        b'{"type":"cart","items":[],"totalPrice":18}',
        b'{"type": "cart", "items": [], "totalPrice": 18}',
        b'{"type":"cart" ,"items":[],"totalPrice":18}',
        b'{"totalPrice":18,"type":"cart","items":[]}',
        b'\n{"type":"cart","items":[],"totalPrice":18}\n',
    ],
)
async def test_a_reply_loses_only_its_type_however_it_is_written(
    gateway: Door, shop: Shop, reply: bytes
):
    call = gateway.begin("/listCart", {"user": 1})
    await shop.reply(await shop.request(), reply)
    answer = await call
    assert (answer.status, answer.json) == (200, {"items": [], "totalPrice": 18})


async def test_a_request_names_the_topic_and_partition_of_its_reply(
    open_gateway, shop: Shop
):
    gateway = await open_gateway(gateway_index=16 + 3)
    call = gateway.begin("/stocks", {"sku": 1})
    request = await shop.request()
    headers = dict(request.headers)
    assert headers.keys() == {
        "kafka_correlationId",
        "kafka_replyTopic",
        "kafka_replyPartition",
    }
    assert re.fullmatch(rb"[0-9a-f]{32}", headers["kafka_correlationId"])
    assert headers["kafka_replyTopic"] == b"gateway.replies"
    assert headers["kafka_replyPartition"] == b"\x00\x00\x00\x03"
    await shop.reply(request, {"type": "stocks", "stocks": []})
    assert (await call).json == {"stocks": []}


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ("abc", "abc"),
        ('"abc"', "abc"),
        ("!~", "!~"),
        ("k" * 128, "k" * 128),
        (f'"{"k" * 128}"', "k" * 128),
    ],
)
async def test_an_idempotency_key_is_propagated_without_its_quotes(
    gateway: Door, shop: Shop, given: str, key: str
):
    call = gateway.begin("/stocks", {"sku": 1}, {"Idempotency-Key": given})
    request = await shop.request()
    assert dict(request.headers)["idempotency-key"] == key.encode()
    await shop.reply(request, {"type": "stocks", "stocks": []})
    assert (await call).status == 200


async def test_a_trace_is_propagated(gateway: Door, shop: Shop):
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    trace = {"traceparent": parent, "tracestate": "shop=1"}
    call = gateway.begin("/stocks", {"sku": 1}, trace)
    request = await shop.request()
    headers = {name: value.decode() for name, value in request.headers}
    assert headers.items() >= trace.items()
    await shop.reply(request, {"type": "stocks", "stocks": []})
    assert (await call).status == 200


async def test_each_caller_gets_the_reply_to_its_own_request(gateway: Door, shop: Shop):
    calls = [gateway.begin("/listOrder", {"orderID": number}) for number in range(50)]
    for request in reversed(await shop.requests(50)):
        user = json.loads(request.value)["orderID"]
        await shop.reply(request, {"type": "order"} | ORDER | {"user": user})
    answers = await asyncio.gather(*calls)
    assert [answer.json["user"] for answer in answers] == list(range(50))


async def test_a_repeated_reply_is_dropped(gateway: Door, shop: Shop):
    first = gateway.begin("/orderPayed", {"orderID": 1})
    request = await shop.request()
    await shop.reply(request, DONE)
    await shop.reply(request, {"type": "refused", "code": "wrong-status", "text": "no"})
    assert (await first).status == 200
    second = gateway.begin("/orderPayed", {"orderID": 1})
    await shop.reply(await shop.request(), DONE)
    assert (await second).status == 200


async def test_a_reply_without_a_waiting_caller_is_skipped(gateway: Door, shop: Shop):
    await shop.send_unrequested(0, [])
    await shop.send_unrequested(0, [("kafka_correlationId", b"\xff unknown")])
    call = gateway.begin("/orderPayed", {"orderID": 1})
    await shop.reply(await shop.request(), DONE)
    assert (await call).status == 200


async def test_a_body_needs_no_content_type(gateway: Door, shop: Shop):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    call = gateway.begin("/orderPayed", {"orderID": 1}, headers)
    await shop.reply(await shop.request(), DONE)
    assert (await call).status == 200


async def test_the_start_page_lists_every_call(gateway: Door):
    page = await gateway.call("GET", "/")
    assert page.kind == "text/html"
    assert all(call.path in page.body.decode() for call in CALLS)


async def test_every_link_of_every_page_leads_somewhere(gateway: Door):
    for start in ("/", "/docs", "/events"):
        page = (await gateway.call("GET", start)).body.decode()
        links = re.findall(r'(?:href|src|url)[=:] ?"([^"#]+)"', page)
        assert links
        for link in links:
            assert (await gateway.call("GET", f"/{link}")).status == 200, (start, link)
            assert (await gateway.call("HEAD", f"/{link}")).status == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_a_healthy_gateway_has_positive_probes(gateway: Door, path: str):
    assert (await gateway.call("GET", path)).status == 200
    assert (await gateway.call("HEAD", path)).status == 200
