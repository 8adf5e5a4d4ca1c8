"""An idempotency key: the same request again has one effect and the same answer."""

import asyncio

import pytest

from tests.e2e.doors import Answer, Door, HttpDoor, KafkaDoor
from tests.e2e.people import Fresh
from tests.e2e.scenes import bought, cart, lines, order, receive, received, status, stocks

TIMES = 10


async def _many(doors: list[Door], call: str, key: str, **body) -> list[Answer]:
    """Send the same request many times concurrently, and then once more."""
    at_once = [doors[n % len(doors)].ask(call, body, key) for n in range(TIMES)]
    return [*await asyncio.gather(*at_once), await doors[0].ask(call, body, key)]


@pytest.fixture
def doors(gateways: list[HttpDoor], topics: KafkaDoor) -> list[Door]:
    """Clients of both gateways and of Kafka."""
    return [*gateways, topics]


async def test_stock_is_received_once(doors: list[Door], fresh: Fresh):
    sku, key = fresh.sku(), fresh.key()
    answers = await _many(doors, "receiveStock", key, sku=sku, warehouseID=3, count=5)
    assert set(map(repr, answers)) == {repr(Answer({}))}
    assert await stocks(doors[0], sku) == {3: 5}


async def test_a_line_grows_once(doors: list[Door], fresh: Fresh):
    user, (sku, _) = fresh.user(), fresh.product()
    await receive(doors[0], sku, 3)
    answers = await _many(doors, "addToCart", fresh.key(), user=user, sku=sku, count=2)
    assert set(map(repr, answers)) == {repr(Answer({}))}
    assert await cart(doors[0], user) == {sku: 2}


async def test_a_line_shrinks_once(doors: list[Door], fresh: Fresh):
    user, (sku, _) = fresh.user(), fresh.product()
    await receive(doors[0], sku, 9)
    await doors[0].do("addToCart", user=user, sku=sku, count=9)
    await _many(doors, "deleteFromCart", fresh.key(), user=user, sku=sku, count=2)
    assert await cart(doors[0], user) == {sku: 7}


async def test_a_cart_is_bought_once_and_each_time_the_order_is_the_answer(
    doors: list[Door], fresh: Fresh
):
    user, (sku, _), key = fresh.user(), fresh.product(), fresh.key()
    await receive(doors[0], sku, 9)
    await doors[0].do("addToCart", user=user, sku=sku, count=2)
    answers = await _many(doors, "purchase", key, user=user)
    assert len({answer.reply["orderID"] for answer in answers}) == 1
    await doors[0].do("addToCart", user=user, sku=sku, count=1)
    again = await doors[1].do("purchases", key, user=user)
    assert again == answers[0].reply
    assert await lines(doors[0], again["orderID"]) == {sku: 2}
    assert await cart(doors[0], user) == {sku: 1}
    assert await stocks(doors[0], sku) == {1: 7}


async def test_an_order_is_created_once(doors: list[Door], fresh: Fresh):
    user, sku = fresh.user(), await received(doors[0], fresh, 9)
    items = [{"sku": sku, "count": 2}]
    answers = await _many(doors, "createOrder", fresh.key(), user=user, items=items)
    assert len({answer.reply["orderID"] for answer in answers}) == 1
    assert await stocks(doors[0], sku) == {1: 7}


async def test_a_failed_order_is_the_reply_to_every_retry(door: Door, fresh: Fresh):
    user, sku, key = fresh.user(), fresh.sku(), fresh.key()
    made = await order(door, user, {sku: 1}, key)
    assert await status(door, made) == "failed"
    await receive(door, sku, 1)
    assert await order(door, user, {sku: 1}, key) == made
    assert await status(door, made) == "failed"
    assert await stocks(door, sku) == {1: 1}


@pytest.mark.parametrize("call", ["orderPayed", "cancelOrder"])
async def test_an_order_is_paid_or_cancelled_once(
    doors: list[Door], fresh: Fresh, call: str
):
    sku = await received(doors[0], fresh, 4)
    made = await order(doors[0], fresh.user(), {sku: 1})
    answers = await _many(doors, call, fresh.key(), orderID=made)
    assert set(map(repr, answers)) == {repr(Answer({}))}
    left = {"orderPayed": 3, "cancelOrder": 4}[call]
    assert await stocks(doors[0], sku) == {1: left}


async def test_a_key_for_another_request_of_the_same_owner_is_refused(
    door: Door, fresh: Fresh
):
    user, (sku, _), key = fresh.user(), fresh.product(), fresh.key()
    await receive(door, sku, 9)
    line = {"user": user, "sku": sku}
    await door.do("addToCart", key, **line, count=2)
    assert await door.refusal("addToCart", key, **line, count=1) == "key-reused"
    assert await door.refusal("deleteFromCart", key, **line, count=2) == "key-reused"
    assert await door.refusal("purchase", key, user=user) == "key-reused"
    assert await cart(door, user) == {sku: 2}

    put = {"sku": sku, "warehouseID": 7}
    await door.do("receiveStock", key, **put, count=2)
    assert await door.refusal("receiveStock", key, **put, count=1) == "key-reused"
    assert await stocks(door, sku) == {1: 9, 7: 2}

    made = await order(door, user, {sku: 1}, key)
    items = [{"sku": sku, "count": 2}]
    assert await door.refusal("createOrder", key, user=user, items=items) == "key-reused"
    paid = fresh.key()
    await door.do("orderPayed", paid, orderID=made)
    assert await door.refusal("cancelOrder", paid, orderID=made) == "key-reused"


async def test_another_owner_may_use_the_same_key(door: Door, fresh: Fresh):
    (sku, _), (other, _), key = fresh.product(), fresh.product(), fresh.key()
    one, two = fresh.user(), fresh.user()
    for received_sku, count in ((sku, 3), (other, 4)):
        put = {"sku": received_sku, "warehouseID": 1, "count": count}
        await door.do("receiveStock", key, **put)
    await door.do("addToCart", key, user=one, sku=sku, count=1)
    await door.do("addToCart", key, user=two, sku=other, count=2)
    assert await cart(door, one) == {sku: 1}
    assert await cart(door, two) == {other: 2}
    made = [await order(door, user, {sku: 1}, key) for user in (one, two)]
    assert made[0] != made[1]
    for one_made in made:
        await door.do("cancelOrder", key, orderID=one_made)
    assert await stocks(door, sku) == {1: 3}
    assert await stocks(door, other) == {1: 4}


async def test_a_refused_request_is_decided_again_with_the_same_key(
    door: Door, fresh: Fresh
):
    user, (sku, _) = fresh.user(), fresh.product()
    add, buy = fresh.key(), fresh.key()
    line = {"user": user, "sku": sku, "count": 2}
    assert await door.refusal("addToCart", add, **line) == "insufficient-stock"
    assert await door.refusal("addToCart", add, **line) == "insufficient-stock"
    assert await door.refusal("purchase", buy, user=user) == "cart-empty"
    await receive(door, sku, 2)
    await door.do("addToCart", add, **line)
    made = (await door.do("purchase", buy, user=user))["orderID"]
    assert await lines(door, made) == {sku: 2}
    pay = fresh.key()
    assert await door.refusal("orderPayed", pay, orderID=made + 4096) == "unknown-order"
    await door.do("orderPayed", pay, orderID=made)


async def test_a_key_in_quotes_is_the_same_key(door: Door, fresh: Fresh):
    sku, key = fresh.sku(), fresh.key()
    for written in (key, f'"{key}"', key):
        await door.do("receiveStock", written, sku=sku, warehouseID=1, count=1)
    assert await stocks(door, sku) == {1: 1}


@pytest.mark.parametrize("key", ["!", "~" * 128, "a", '"', '""a', "0-9_A.z/{}"])
async def test_a_key_is_up_to_128_visible_characters(door: Door, fresh: Fresh, key: str):
    sku = fresh.sku()
    for _ in range(2):
        await door.do("receiveStock", key, sku=sku, warehouseID=1, count=1)
    assert await stocks(door, sku) == {1: 1}


@pytest.mark.parametrize("key", ["", "~" * 129, "a b", '""', "ключ", "a\tb"])
async def test_an_invalid_key_is_refused(door: Door, fresh: Fresh, key: str):
    sku = fresh.sku()
    code = await door.refusal("receiveStock", key, sku=sku, warehouseID=1, count=1)
    assert code == "bad-request"
    assert await stocks(door, sku) == {}


async def test_without_a_key_every_request_counts(door: Door, fresh: Fresh):
    sku = fresh.sku()
    await asyncio.gather(
        *(door.do("receiveStock", sku=sku, warehouseID=1, count=1) for _ in range(TIMES))
    )
    assert await stocks(door, sku) == {1: TIMES}
    first, second = await bought(door, fresh, {sku: 1}), await bought(door, fresh, {sku: 1})
    assert first != second


async def test_a_cart_remembers_its_newest_256_requests(
    http: HttpDoor, topics: KafkaDoor, fresh: Fresh
):
    user, (sku, _) = fresh.user(), fresh.product()
    await receive(http, sku, 1000)
    keys = [fresh.key() for _ in range(256)]
    for _ in range(2):
        await asyncio.gather(
            *(topics.do("addToCart", key, user=user, sku=sku, count=1) for key in keys)
        )
    assert await cart(http, user) == {sku: 256}
