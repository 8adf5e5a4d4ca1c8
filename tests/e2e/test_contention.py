"""Concurrent requests: exactly as many succeed as there are units in stock."""

import asyncio
from collections import Counter

from tests.e2e.doors import Answer, Door, HttpDoor, KafkaDoor
from tests.e2e.people import Fresh
from tests.e2e.scenes import bought, order, received, status, stocks


async def test_of_500_concurrent_orders_of_100_units_exactly_100_succeed(
    door: Door, fresh: Fresh
):
    sku = await received(door, fresh, 40, 25, 35)
    made = await asyncio.gather(*(order(door, fresh.user(), {sku: 1}) for _ in range(500)))
    assert len(set(made)) == 500
    found = await asyncio.gather(*(status(door, one) for one in made))
    assert Counter(found) == {"awaiting payment": 100, "failed": 400}
    assert await stocks(door, sku) == {}
    happy = [one for one, was in zip(made, found, strict=True) if was != "failed"]
    await asyncio.gather(*(door.do("cancelOrder", orderID=one) for one in happy))
    assert await stocks(door, sku) == {1: 40, 2: 25, 3: 35}


async def test_concurrent_orders_of_several_skus_neither_oversell_nor_block_each_other(
    http: HttpDoor, topics: KafkaDoor, fresh: Fresh
):
    doors = (http, topics)
    one, two = await received(http, fresh, 10, 20), await received(http, fresh, 25)
    wanted = [{one: 1, two: 1}, {two: 1, one: 1}, {one: 2}, {two: 2}]
    made = await asyncio.gather(
        *(order(doors[n % 2], fresh.user(), wanted[n % 4]) for n in range(120))
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
        last = await order(http, fresh.user(), left)
        assert await status(http, last) == "awaiting payment"
    assert await stocks(http, one) == await stocks(http, two) == {}


async def test_of_concurrent_pay_and_cancel_one_succeeds_on_each_of_200_orders(
    http: HttpDoor, topics: KafkaDoor, fresh: Fresh
):
    doors = (http, topics)
    sku = await received(http, fresh, 300, 100)
    made = await asyncio.gather(*(order(http, fresh.user(), {sku: 2}) for _ in range(200)))
    assert await stocks(http, sku) == {}

    async def fight(n: int) -> tuple[Answer, Answer]:
        body = {"orderID": made[n]}
        first, second = doors[n % 2], doors[n // 2 % 2]
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


async def test_a_hundred_concurrent_purchases_share_the_stock(door: Door, fresh: Fresh):
    sku = await received(door, fresh, 30, 20)
    made = await asyncio.gather(*(bought(door, fresh, {sku: 1}) for _ in range(40)))
    assert {await status(door, one) for one in made} == {"awaiting payment"}
    assert sum((await stocks(door, sku)).values()) == 10
