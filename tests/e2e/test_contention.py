"""Concurrent requests: exactly as many succeed as there are units in stock."""

import asyncio
from collections import Counter

from tests.e2e.clients import Answer, HttpClient, KafkaClient, ShopClient
from tests.e2e.ids import IdFactory
from tests.e2e.steps import bought, order, received, status, stocks


async def test_of_500_concurrent_orders_of_100_units_exactly_100_succeed(
    client: ShopClient, ids: IdFactory
):
    sku = await received(client, ids, 40, 25, 35)
    made = await asyncio.gather(*(order(client, ids.user(), {sku: 1}) for _ in range(500)))
    assert len(set(made)) == 500
    found = await asyncio.gather(*(status(client, one) for one in made))
    assert Counter(found) == {"awaiting payment": 100, "failed": 400}
    assert await stocks(client, sku) == {}
    happy = [one for one, was in zip(made, found, strict=True) if was != "failed"]
    await asyncio.gather(*(client.do("cancelOrder", orderID=one) for one in happy))
    assert await stocks(client, sku) == {1: 40, 2: 25, 3: 35}


async def test_concurrent_orders_of_several_skus_neither_oversell_nor_block_each_other(
    http: HttpClient, topics: KafkaClient, ids: IdFactory
):
    clients = (http, topics)
    one, two = await received(http, ids, 10, 20), await received(http, ids, 25)
    wanted = [{one: 1, two: 1}, {two: 1, one: 1}, {one: 2}, {two: 2}]
    made = await asyncio.gather(
        *(order(clients[n % 2], ids.user(), wanted[n % 4]) for n in range(120))
    )
    found = await asyncio.gather(*(status(http, made_one) for made_one in made))
    assert set(found) <= {"awaiting payment", "failed"}
    taken = Counter[int]()
    for n, was in enumerate(found):
        if was == "awaiting payment":
            taken.update(wanted[n % 4])
    assert sum((await stocks(http, one)).values()) == 30 - taken[one]
    assert sum((await stocks(http, two)).values()) == 25 - taken[two]
    # A failed order releases all its units, so the rest can still be bought.
    left = {s: n for s in (one, two) if (n := sum((await stocks(http, s)).values()))}
    if left:
        last = await order(http, ids.user(), left)
        assert await status(http, last) == "awaiting payment"
    assert await stocks(http, one) == await stocks(http, two) == {}


async def test_of_concurrent_pay_and_cancel_one_succeeds_on_each_of_200_orders(
    http: HttpClient, topics: KafkaClient, ids: IdFactory
):
    clients = (http, topics)
    sku = await received(http, ids, 300, 100)
    made = await asyncio.gather(*(order(http, ids.user(), {sku: 2}) for _ in range(200)))
    assert await stocks(http, sku) == {}

    async def fight(n: int) -> tuple[Answer, Answer]:
        body = {"orderID": made[n]}
        first, second = clients[n % 2], clients[n // 2 % 2]
        if n % 3:
            pay, cancel = first.ask("orderPayed", body), second.ask("cancelOrder", body)
        else:
            cancel, pay = second.ask("cancelOrder", body), first.ask("orderPayed", body)
        return await asyncio.gather(pay, cancel)

    ends = await asyncio.gather(*map(fight, range(200)))
    assert {(pay.code, cancel.code) for pay, cancel in ends} <= {
        (None, "wrong-status"),
        ("wrong-status", None),
    }
    paid = sum(pay.code is None for pay, _ in ends)
    assert 0 < paid < 200
    found = await asyncio.gather(*(status(topics, one) for one in made))
    assert found == ["paid" if pay.code is None else "cancelled" for pay, _ in ends]
    assert sum((await stocks(http, sku)).values()) == 400 - 2 * paid


async def test_a_hundred_concurrent_purchases_share_the_stock(
    client: ShopClient, ids: IdFactory
):
    sku = await received(client, ids, 30, 20)
    made = await asyncio.gather(*(bought(client, ids, {sku: 1}) for _ in range(40)))
    assert {await status(client, one) for one in made} == {"awaiting payment"}
    assert sum((await stocks(client, sku)).values()) == 10
