"""A user is erased on a running shop: the rows that are left, and the tool's output."""

import asyncio
import json
from functools import partial

import pytest
from aiokafka import ConsumerRecord

from tests.e2e.clients import HttpClient, as_record
from tests.e2e.guarded import CUSTOMER, REPLIES, GuardedShop
from tests.e2e.ids import IdFactory
from tests.e2e.kafka import Kafka
from tests.e2e.records import body_of
from tests.e2e.shop import Shop
from tests.e2e.steps import cart, order, receive, received, status, stocks
from tests.e2e.test_tools import Tool, run


@pytest.fixture
def tool(shop: Shop) -> Tool:
    """Run a tool on this shop."""
    return partial(run, shop)


def newest(kafka: Kafka, topic: str, key: str) -> dict | None:
    """Return the newest version of a row; None for a tombstone."""
    *_, row = (record for record in kafka.seen[topic] if record.key == key.encode())
    return row.value and json.loads(row.value)


async def test_an_erased_user_has_no_cart_and_no_orders(
    kafka: Kafka, http: HttpClient, ids: IdFactory, tool: Tool
):
    user, (sku, _) = ids.user(), ids.product()
    await receive(http, sku, 9)
    await http.do("addToCart", user=user, sku=sku, count=1)
    bought = (await http.do("purchase", user=user))["orderID"]
    await http.do("orderPayed", "a-key-of-the-user", orderID=bought)
    failed = await order(http, user, {sku: 100})
    await http.do("addToCart", user=user, sku=sku, count=2)

    code, lines = await tool("forget", user, "--yes")

    assert code == 0
    assert lines[0] == f"user {user}: a cart, 2 orders (1 failed, 1 paid)"
    assert lines[1] == "erased: the cart, 2 orders"
    assert any(" cart.requests " in line and line.endswith("stays") for line in lines)
    assert any(" order.events " in line and line.endswith(" UTC") for line in lines)
    assert await cart(http, user) == {}
    for number in (bought, failed):
        for call in ("listOrder", "orderPayed", "cancelOrder"):
            assert await http.refusal(call, orderID=number) == "unknown-order"
    assert await stocks(http, sku) == {1: 8}
    await kafka.drain()
    assert newest(kafka, "checkout-carts-changelog", str(user)) is None
    row = newest(kafka, "loms-orders-changelog", str(bought))
    assert row["user"] == user % 4096
    assert row["lines"] == {str(sku): 1}
    assert "a-key-of-the-user" not in json.dumps(row)


async def test_an_erased_user_may_come_back_as_a_new_one(
    http: HttpClient, ids: IdFactory, tool: Tool
):
    user, (sku, _) = ids.user(), ids.product()
    await receive(http, sku, 9)
    for count in (2, 1):
        await http.do("addToCart", "a-key", user=user, sku=sku, count=count)
        assert await cart(http, user) == {sku: count}
        code, _ = await tool("forget", user, "--yes")
        assert code == 0
        assert await cart(http, user) == {}


async def test_open_orders_prevent_the_erasure_unless_they_may_be_cancelled(
    http: HttpClient, ids: IdFactory, tool: Tool
):
    user, sku = ids.user(), await received(http, ids, 5)
    number = await order(http, user, {sku: 2})

    code, lines = await tool("forget", user, "--yes")
    assert code == 1
    assert f"forget: order {number} is awaiting payment" in lines
    assert "Nothing was done" in lines[-1]
    assert await status(http, number) == "awaiting payment"

    code, lines = await tool("forget", user, "--yes", "--cancel")
    assert code == 0
    assert lines[1] == "erased: the cart, 1 order"
    assert await http.refusal("listOrder", orderID=number) == "unknown-order"
    assert await stocks(http, sku) == {1: 5}


async def test_the_erasure_waits_for_earlier_requests(
    kafka: Kafka, http: HttpClient, ids: IdFactory, tool: Tool, shop: Shop
):
    user, sku = ids.user(), await received(http, ids, 5)
    items = [{"sku": sku, "count": 2}]
    await shop["loms-1"].stop()
    try:
        await kafka.send(as_record("createOrder", {"user": user, "items": items}))
        code, lines = await tool("forget", user, "--yes", "--patience", "2")
        assert code == 1
        assert lines[-1].startswith("forget: order.requests: no reply within 2 s")
    finally:
        shop["loms-1"].start()
        await shop.ready()

    code, lines = await tool("forget", user, "--yes")

    assert code == 1
    assert lines[-2].endswith(" is awaiting payment")


async def test_an_order_after_the_first_reading_is_not_cancelled(
    kafka: Kafka, http: HttpClient, ids: IdFactory, tool: Tool, shop: Shop
):
    user, (sku, _) = ids.user(), ids.product()
    await receive(http, sku, 9)
    await http.do("addToCart", user=user, sku=sku, count=2)
    await shop["loms-1"].stop()
    try:
        buying = asyncio.create_task(http.do("purchase", user=user))
        await kafka.find("order.requests", lambda r: body_of(r).get("user") == user)
        erasing = asyncio.create_task(tool("forget", user, "--yes"))
        await kafka.find("cart.requests", lambda r: is_erasure(r, user))
    finally:
        shop["loms-1"].start()
        await shop.ready()

    number = (await buying)["orderID"]
    code, lines = await erasing

    assert code == 1
    assert f"forget: order {number}: wrong-status (it is awaiting payment;" in lines[-2]
    assert await status(http, number) == "awaiting payment"


def is_erasure(record: ConsumerRecord, user: int) -> bool:
    return record.value == f'{{"user":{user},"type":"forgetCart"}}'.encode()


async def test_another_user_of_the_shard_is_not_erased(
    http: HttpClient, ids: IdFactory, tool: Tool
):
    user, (sku, _) = ids.user(), ids.product()
    neighbour = user + 4096  # of the same shard
    await receive(http, sku, 9)
    numbers = [await order(http, each, {sku: 1}) for each in (user, neighbour)]
    await http.do("addToCart", user=neighbour, sku=sku, count=3)

    assert (await tool("forget", user, "--yes", "--cancel"))[0] == 0

    assert await http.refusal("listOrder", orderID=numbers[0]) == "unknown-order"
    assert await status(http, numbers[1]) == "awaiting payment"
    assert await cart(http, neighbour) == {sku: 3}


async def test_an_unknown_user_is_erased_at_once(ids: IdFactory, tool: Tool):
    code, lines = await tool("forget", ids.user(), "--yes")
    assert code == 0
    assert lines[0].endswith(": no cart, 0 orders")


async def test_a_customer_has_no_right_to_read_the_rows(guarded: GuardedShop):
    words = ("forget", 1, "--yes", "--replies", REPLIES)
    code, lines = await run(guarded, *words, **guarded.login(CUSTOMER))
    assert code == 1
    (line,) = lines
    assert line.endswith(
        ": there are no topics checkout-carts-changelog, or no right to see them"
    )
