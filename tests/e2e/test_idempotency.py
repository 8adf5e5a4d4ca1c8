"""An idempotency key: the same request again has one effect and the same answer."""

import asyncio

import pytest

from tests.e2e.clients import Answer, HttpClient, KafkaClient, ShopClient
from tests.e2e.ids import IdFactory
from tests.e2e.steps import bought, cart, lines, order, receive, received, status, stocks

TIMES = 10


async def _many(clients: list[ShopClient], call: str, key: str, **body) -> list[Answer]:
    """Send the same request many times concurrently, and then once more."""
    at_once = [clients[n % len(clients)].ask(call, body, key) for n in range(TIMES)]
    return [*await asyncio.gather(*at_once), await clients[0].ask(call, body, key)]


@pytest.fixture
def clients(gateways: list[HttpClient], topics: KafkaClient) -> list[ShopClient]:
    """Clients of both gateways and of Kafka."""
    return [*gateways, topics]


async def test_stock_is_received_once(clients: list[ShopClient], ids: IdFactory):
    sku, key = ids.sku(), ids.key()
    answers = await _many(clients, "receiveStock", key, sku=sku, warehouseID=3, count=5)
    assert set(map(repr, answers)) == {repr(Answer({}))}
    assert await stocks(clients[0], sku) == {3: 5}


async def test_a_line_grows_once(clients: list[ShopClient], ids: IdFactory):
    user, (sku, _) = ids.user(), ids.product()
    await receive(clients[0], sku, 3)
    answers = await _many(clients, "addToCart", ids.key(), user=user, sku=sku, count=2)
    assert set(map(repr, answers)) == {repr(Answer({}))}
    assert await cart(clients[0], user) == {sku: 2}


async def test_a_line_shrinks_once(clients: list[ShopClient], ids: IdFactory):
    user, (sku, _) = ids.user(), ids.product()
    await receive(clients[0], sku, 9)
    await clients[0].do("addToCart", user=user, sku=sku, count=9)
    await _many(clients, "deleteFromCart", ids.key(), user=user, sku=sku, count=2)
    assert await cart(clients[0], user) == {sku: 7}


async def test_a_cart_is_bought_once_and_each_time_the_order_is_the_answer(
    clients: list[ShopClient], ids: IdFactory
):
    user, (sku, _), key = ids.user(), ids.product(), ids.key()
    await receive(clients[0], sku, 9)
    await clients[0].do("addToCart", user=user, sku=sku, count=2)
    answers = await _many(clients, "purchase", key, user=user)
    assert len({answer.reply["orderID"] for answer in answers}) == 1
    await clients[0].do("addToCart", user=user, sku=sku, count=1)
    again = await clients[1].do("purchases", key, user=user)
    assert again == answers[0].reply
    assert await lines(clients[0], again["orderID"]) == {sku: 2}
    assert await cart(clients[0], user) == {sku: 1}
    assert await stocks(clients[0], sku) == {1: 7}


async def test_an_order_is_created_once(clients: list[ShopClient], ids: IdFactory):
    user, sku = ids.user(), await received(clients[0], ids, 9)
    items = [{"sku": sku, "count": 2}]
    answers = await _many(clients, "createOrder", ids.key(), user=user, items=items)
    assert len({answer.reply["orderID"] for answer in answers}) == 1
    assert await stocks(clients[0], sku) == {1: 7}


async def test_a_failed_order_is_the_reply_to_every_retry(
    client: ShopClient, ids: IdFactory
):
    user, sku, key = ids.user(), ids.sku(), ids.key()
    made = await order(client, user, {sku: 1}, key)
    assert await status(client, made) == "failed"
    await receive(client, sku, 1)
    assert await order(client, user, {sku: 1}, key) == made
    assert await status(client, made) == "failed"
    assert await stocks(client, sku) == {1: 1}


@pytest.mark.parametrize("call", ["orderPayed", "cancelOrder"])
async def test_an_order_is_paid_or_cancelled_once(
    clients: list[ShopClient], ids: IdFactory, call: str
):
    sku = await received(clients[0], ids, 4)
    made = await order(clients[0], ids.user(), {sku: 1})
    answers = await _many(clients, call, ids.key(), orderID=made)
    assert set(map(repr, answers)) == {repr(Answer({}))}
    left = {"orderPayed": 3, "cancelOrder": 4}[call]
    assert await stocks(clients[0], sku) == {1: left}


async def test_a_key_for_another_request_of_the_same_owner_is_refused(
    client: ShopClient, ids: IdFactory
):
    user, (sku, _), key = ids.user(), ids.product(), ids.key()
    await receive(client, sku, 9)
    line = {"user": user, "sku": sku}
    await client.do("addToCart", key, **line, count=2)
    assert await client.refusal("addToCart", key, **line, count=1) == "key-reused"
    assert await client.refusal("deleteFromCart", key, **line, count=2) == "key-reused"
    assert await client.refusal("purchase", key, user=user) == "key-reused"
    assert await cart(client, user) == {sku: 2}

    put = {"sku": sku, "warehouseID": 7}
    await client.do("receiveStock", key, **put, count=2)
    assert await client.refusal("receiveStock", key, **put, count=1) == "key-reused"
    assert await stocks(client, sku) == {1: 9, 7: 2}

    made = await order(client, user, {sku: 1}, key)
    items = [{"sku": sku, "count": 2}]
    assert await client.refusal("createOrder", key, user=user, items=items) == "key-reused"
    paid = ids.key()
    await client.do("orderPayed", paid, orderID=made)
    assert await client.refusal("cancelOrder", paid, orderID=made) == "key-reused"


async def test_another_owner_may_use_the_same_key(client: ShopClient, ids: IdFactory):
    (sku, _), (other, _), key = ids.product(), ids.product(), ids.key()
    one, two = ids.user(), ids.user()
    for received_sku, count in ((sku, 3), (other, 4)):
        put = {"sku": received_sku, "warehouseID": 1, "count": count}
        await client.do("receiveStock", key, **put)
    await client.do("addToCart", key, user=one, sku=sku, count=1)
    await client.do("addToCart", key, user=two, sku=other, count=2)
    assert await cart(client, one) == {sku: 1}
    assert await cart(client, two) == {other: 2}
    made = [await order(client, user, {sku: 1}, key) for user in (one, two)]
    assert made[0] != made[1]
    for one_made in made:
        await client.do("cancelOrder", key, orderID=one_made)
    assert await stocks(client, sku) == {1: 3}
    assert await stocks(client, other) == {1: 4}


async def test_a_refused_request_is_decided_again_with_the_same_key(
    client: ShopClient, ids: IdFactory
):
    user, (sku, _) = ids.user(), ids.product()
    add, buy = ids.key(), ids.key()
    line = {"user": user, "sku": sku, "count": 2}
    assert await client.refusal("addToCart", add, **line) == "insufficient-stock"
    assert await client.refusal("addToCart", add, **line) == "insufficient-stock"
    assert await client.refusal("purchase", buy, user=user) == "cart-empty"
    await receive(client, sku, 2)
    await client.do("addToCart", add, **line)
    made = (await client.do("purchase", buy, user=user))["orderID"]
    assert await lines(client, made) == {sku: 2}
    pay = ids.key()
    assert await client.refusal("orderPayed", pay, orderID=made + 4096) == "unknown-order"
    await client.do("orderPayed", pay, orderID=made)


async def test_a_key_in_quotes_is_the_same_key(client: ShopClient, ids: IdFactory):
    sku, key = ids.sku(), ids.key()
    for written in (key, f'"{key}"', key):
        await client.do("receiveStock", written, sku=sku, warehouseID=1, count=1)
    assert await stocks(client, sku) == {1: 1}


@pytest.mark.parametrize("key", ["!", "~" * 128, "a", '"', '""a', "0-9_A.z/{}"])
async def test_a_key_is_up_to_128_visible_characters(
    client: ShopClient, ids: IdFactory, key: str
):
    sku = ids.sku()
    for _ in range(2):
        await client.do("receiveStock", key, sku=sku, warehouseID=1, count=1)
    assert await stocks(client, sku) == {1: 1}


@pytest.mark.parametrize("key", ["", "~" * 129, "a b", '""', "ключ", "a\tb"])
async def test_an_invalid_key_is_refused(client: ShopClient, ids: IdFactory, key: str):
    sku = ids.sku()
    code = await client.refusal("receiveStock", key, sku=sku, warehouseID=1, count=1)
    assert code == "bad-request"
    assert await stocks(client, sku) == {}


async def test_without_a_key_every_request_counts(client: ShopClient, ids: IdFactory):
    sku = ids.sku()
    await asyncio.gather(
        *(client.do("receiveStock", sku=sku, warehouseID=1, count=1) for _ in range(TIMES))
    )
    assert await stocks(client, sku) == {1: TIMES}
    first, second = await bought(client, ids, {sku: 1}), await bought(client, ids, {sku: 1})
    assert first != second


async def test_a_cart_remembers_its_newest_256_requests(
    http: HttpClient, topics: KafkaClient, ids: IdFactory
):
    user, (sku, _) = ids.user(), ids.product()
    await receive(http, sku, 1000)
    keys = [ids.key() for _ in range(256)]
    for _ in range(2):
        await asyncio.gather(
            *(topics.do("addToCart", key, user=user, sku=sku, count=1) for key in keys)
        )
    assert await cart(http, user) == {sku: 256}
