"""Numbers at the ends of their ranges: exact in every reply, every key and every topic."""

import asyncio

import pytest
from aiokafka import ConsumerRecord

from tests.e2e.clients import HttpClient, KafkaClient, ShopClient
from tests.e2e.ids import IdFactory
from tests.e2e.kafka import Kafka
from tests.e2e.records import body_of
from tests.e2e.steps import cart, lines, order, receive, received, status, stocks

USERS = (9007199254740993, 9223372036854775807, -1, -9223372036854775808)
MAX_COUNT, MAX_STOCK = 2**16 - 1, 2**64 - 1


def _has_number(name: str, number: int, key: int):
    """Match records with a number under a name, and with the key that follows from it."""

    def matches(record: ConsumerRecord) -> bool:
        if body_of(record).get(name) != number:
            return False
        assert record.key == str(key).encode(), record
        return True

    return matches


@pytest.mark.parametrize("user", USERS)
async def test_a_user_is_exact_in_every_reply_key_and_topic(
    client: ShopClient, kafka: Kafka, ids: IdFactory, user: int
):
    (sku, product), shard = ids.product(), user % 4096
    await receive(client, sku, 2)
    await client.do("addToCart", user=user, sku=sku, count=2)
    assert (await client.do("listCart", user=user))["totalPrice"] == 2 * product.price
    made = (await client.do("purchase", user=user))["orderID"]
    assert 0 <= made < 2**53
    assert made % 4096 == shard
    assert await client.do("listOrder", orderID=made) == {
        "status": "awaiting payment",
        "user": user,
        "items": [{"sku": sku, "count": 2}],
    }
    await client.do("orderPayed", orderID=made)
    assert await cart(client, user) == {}
    for topic, key in (
        ("cart.requests", user),
        ("product.requests", user),
        ("order.requests", shard),
        ("order.events", shard),
    ):
        await kafka.find(topic, _has_number("user", user, key))
    await kafka.find("order.requests", _has_number("orderID", made, shard))
    await kafka.find("checkout-carts-changelog", lambda r: r.key == str(user).encode())
    await kafka.find("loms-orders-changelog", lambda r: r.key == str(made).encode())


async def test_users_that_are_equal_as_floats_have_separate_carts(
    client: ShopClient, ids: IdFactory
):
    sku = ids.product()[0]
    await receive(client, sku, 9)
    users = [9007199254740992 + n for n in range(3)]
    for number, user in enumerate(users, start=1):
        await client.do("addToCart", user=user, sku=sku, count=number)
    for number, user in enumerate(users, start=1):
        assert await cart(client, user) == {sku: number}
        await client.do("deleteFromCart", user=user, sku=sku, count=number)


async def test_a_warehouse_counts_up_to_uint64_and_not_beyond(
    client: ShopClient, ids: IdFactory
):
    sku, warehouse = ids.sku(), -(2**63)
    put = {"sku": sku, "warehouseID": warehouse}
    await client.do("receiveStock", **put, count=MAX_STOCK - 1)
    assert await stocks(client, sku) == {warehouse: MAX_STOCK - 1}
    assert await client.refusal("receiveStock", **put, count=2) == "count-too-large"
    await client.do("receiveStock", **put, count=1)
    assert await stocks(client, sku) == {warehouse: MAX_STOCK}
    made = await order(client, ids.user(), {sku: MAX_COUNT})
    assert await stocks(client, sku) == {warehouse: MAX_STOCK - MAX_COUNT}
    # Reserved units count as well.
    assert await client.refusal("receiveStock", **put, count=1) == "count-too-large"
    await client.do("orderPayed", orderID=made)
    await client.do("receiveStock", **put, count=MAX_COUNT)
    assert await stocks(client, sku) == {warehouse: MAX_STOCK}


async def test_all_warehouses_together_may_hold_more_than_uint64(
    client: ShopClient, ids: IdFactory
):
    sku = await received(client, ids, MAX_STOCK, MAX_STOCK)
    made = await order(client, ids.user(), {sku: 1})
    assert await status(client, made) == "awaiting payment"
    assert await stocks(client, sku) == {1: MAX_STOCK - 1, 2: MAX_STOCK}


async def test_a_line_can_not_pass_65535(client: ShopClient, ids: IdFactory):
    user, (sku, _) = ids.user(), ids.product()
    await receive(client, sku, 60_000, 60_000)
    await client.do("addToCart", user=user, sku=sku, count=65_534)
    assert (
        await client.refusal("addToCart", user=user, sku=sku, count=2) == "count-too-large"
    )
    await client.do("addToCart", user=user, sku=sku, count=1)
    assert (
        await client.refusal("addToCart", user=user, sku=sku, count=1) == "count-too-large"
    )
    assert await client.refusal("addToCart", user=user, sku=sku, count=MAX_COUNT) == (
        "count-too-large"
    )
    made = (await client.do("purchase", user=user))["orderID"]
    assert await lines(client, made) == {sku: MAX_COUNT}


async def test_lines_of_an_order_may_not_add_up_to_over_65535(
    client: ShopClient, ids: IdFactory
):
    user, sku = ids.user(), await received(client, ids, 70_000)
    items = [{"sku": sku, "count": MAX_COUNT}, {"sku": sku, "count": 1}]
    assert await client.refusal("createOrder", user=user, items=items) == "bad-request"
    assert await stocks(client, sku) == {1: 70_000}


async def test_a_cart_of_1000_skus_is_bought_as_one_order(
    http: HttpClient, topics: KafkaClient, ids: IdFactory
):
    user, skus = ids.user(), [ids.sku() for _ in range(1001)]
    await asyncio.gather(
        *(topics.do("receiveStock", sku=sku, warehouseID=1, count=2) for sku in skus)
    )
    *fitting, last = skus
    await asyncio.gather(
        *(topics.do("addToCart", user=user, sku=sku, count=1) for sku in fitting)
    )
    assert await http.refusal("addToCart", user=user, sku=last, count=1) == "cart-full"
    assert await topics.refusal("addToCart", user=user, sku=last, count=1) == "cart-full"
    await http.do("addToCart", user=user, sku=fitting[0], count=1)
    await http.do("deleteFromCart", user=user, sku=fitting[1], count=1)
    await http.do("addToCart", user=user, sku=last, count=1)
    made = (await http.do("purchase", user=user))["orderID"]
    wanted = dict.fromkeys(skus, 1) | {fitting[0]: 2}
    del wanted[fitting[1]]
    assert await lines(http, made) == wanted
    assert await status(http, made) == "awaiting payment"
    assert await stocks(http, last) == {1: 1}


async def test_an_order_has_at_most_1000_lines(client: ShopClient, ids: IdFactory):
    items = [{"sku": ids.sku(), "count": 1} for _ in range(1001)]
    user = ids.user()
    assert await client.refusal("createOrder", user=user, items=items) == "bad-request"
    assert await client.refusal("createOrder", user=user, items=[]) == "bad-request"
    made = await order(client, user, {item["sku"]: 1 for item in items[1:]})
    assert await status(client, made) == "failed"
