"""Numbers at the ends of their ranges: exact in every reply, every key and every topic."""

import asyncio

import pytest
from aiokafka import ConsumerRecord

from tests.e2e.doors import Door, HttpDoor, KafkaDoor
from tests.e2e.kafka import Kafka
from tests.e2e.letters import said
from tests.e2e.people import Fresh
from tests.e2e.scenes import cart, lines, order, receive, received, status, stocks

USERS = (9007199254740993, 9223372036854775807, -1, -9223372036854775808)
MAX_COUNT, MAX_STOCK = 2**16 - 1, 2**64 - 1


def _has_number(name: str, number: int, key: int):
    """Match records with a number under a name, and with the key that follows from it."""

    def matches(record: ConsumerRecord) -> bool:
        if said(record).get(name) != number:
            return False
        assert record.key == str(key).encode(), record
        return True

    return matches


@pytest.mark.parametrize("user", USERS)
async def test_a_user_is_exact_in_every_reply_key_and_topic(
    door: Door, kafka: Kafka, fresh: Fresh, user: int
):
    (sku, product), shard = fresh.product(), user % 4096
    await receive(door, sku, 2)
    await door.do("addToCart", user=user, sku=sku, count=2)
    assert (await door.do("listCart", user=user))["totalPrice"] == 2 * product.price
    made = (await door.do("purchase", user=user))["orderID"]
    assert 0 <= made < 2**53
    assert made % 4096 == shard
    assert await door.do("listOrder", orderID=made) == {
        "status": "awaiting payment",
        "user": user,
        "items": [{"sku": sku, "count": 2}],
    }
    await door.do("orderPayed", orderID=made)
    assert await cart(door, user) == {}
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


async def test_users_that_are_equal_as_floats_have_separate_carts(door: Door, fresh: Fresh):
    sku = fresh.product()[0]
    await receive(door, sku, 9)
    users = [9007199254740992 + n for n in range(3)]
    for number, user in enumerate(users, start=1):
        await door.do("addToCart", user=user, sku=sku, count=number)
    for number, user in enumerate(users, start=1):
        assert await cart(door, user) == {sku: number}
        await door.do("deleteFromCart", user=user, sku=sku, count=number)


async def test_a_warehouse_counts_up_to_uint64_and_not_beyond(door: Door, fresh: Fresh):
    sku, warehouse = fresh.sku(), -(2**63)
    put = {"sku": sku, "warehouseID": warehouse}
    await door.do("receiveStock", **put, count=MAX_STOCK - 1)
    assert await stocks(door, sku) == {warehouse: MAX_STOCK - 1}
    assert await door.refusal("receiveStock", **put, count=2) == "count-too-large"
    await door.do("receiveStock", **put, count=1)
    assert await stocks(door, sku) == {warehouse: MAX_STOCK}
    made = await order(door, fresh.user(), {sku: MAX_COUNT})
    assert await stocks(door, sku) == {warehouse: MAX_STOCK - MAX_COUNT}
    # Reserved units count as well.
    assert await door.refusal("receiveStock", **put, count=1) == "count-too-large"
    await door.do("orderPayed", orderID=made)
    await door.do("receiveStock", **put, count=MAX_COUNT)
    assert await stocks(door, sku) == {warehouse: MAX_STOCK}


async def test_all_warehouses_together_may_hold_more_than_uint64(door: Door, fresh: Fresh):
    sku = await received(door, fresh, MAX_STOCK, MAX_STOCK)
    made = await order(door, fresh.user(), {sku: 1})
    assert await status(door, made) == "awaiting payment"
    assert await stocks(door, sku) == {1: MAX_STOCK - 1, 2: MAX_STOCK}


async def test_a_line_can_not_pass_65535(door: Door, fresh: Fresh):
    user, (sku, _) = fresh.user(), fresh.product()
    await receive(door, sku, 60_000, 60_000)
    await door.do("addToCart", user=user, sku=sku, count=65_534)
    assert await door.refusal("addToCart", user=user, sku=sku, count=2) == "count-too-large"
    await door.do("addToCart", user=user, sku=sku, count=1)
    assert await door.refusal("addToCart", user=user, sku=sku, count=1) == "count-too-large"
    assert await door.refusal("addToCart", user=user, sku=sku, count=MAX_COUNT) == (
        "count-too-large"
    )
    made = (await door.do("purchase", user=user))["orderID"]
    assert await lines(door, made) == {sku: MAX_COUNT}


async def test_lines_of_an_order_may_not_add_up_to_over_65535(door: Door, fresh: Fresh):
    user, sku = fresh.user(), await received(door, fresh, 70_000)
    items = [{"sku": sku, "count": MAX_COUNT}, {"sku": sku, "count": 1}]
    assert await door.refusal("createOrder", user=user, items=items) == "bad-request"
    assert await stocks(door, sku) == {1: 70_000}


async def test_a_cart_of_1000_skus_is_bought_as_one_order(
    http: HttpDoor, topics: KafkaDoor, fresh: Fresh
):
    user, skus = fresh.user(), [fresh.sku() for _ in range(1001)]
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


async def test_an_order_has_at_most_1000_lines(door: Door, fresh: Fresh):
    items = [{"sku": fresh.sku(), "count": 1} for _ in range(1001)]
    user = fresh.user()
    assert await door.refusal("createOrder", user=user, items=items) == "bad-request"
    assert await door.refusal("createOrder", user=user, items=[]) == "bad-request"
    made = await order(door, user, {item["sku"]: 1 for item in items[1:]})
    assert await status(door, made) == "failed"
