"""Concurrent purchases: with each other, with an add, without enough stock."""

import asyncio

from tests.e2e.doors import Door, HttpDoor, KafkaDoor
from tests.e2e.people import Fresh
from tests.e2e.scenes import cart, lines, order, receive, status, stocks

TIMES = 20


async def test_two_purchases_at_once_buy_a_cart_once(
    http: HttpDoor, topics: KafkaDoor, fresh: Fresh
):
    (sku, _) = fresh.product()
    await receive(http, sku, 100 * TIMES)

    async def race() -> None:
        user = fresh.user()
        await http.do("addToCart", user=user, sku=sku, count=3)
        answers = await asyncio.gather(
            *(
                door.ask("purchase", {"user": user}, fresh.key())
                for door in (http, topics, http, topics)
            )
        )
        [made] = [answer.reply["orderID"] for answer in answers if answer.code is None]
        codes = [answer.code for answer in answers if answer.code is not None]
        assert codes == ["cart-empty"] * 3
        assert await lines(http, made) == {sku: 3}
        assert await cart(http, user) == {}

    await asyncio.gather(*(race() for _ in range(TIMES)))
    assert await stocks(http, sku) == {1: 97 * TIMES}


async def test_one_purchase_takes_all_and_the_other_gets_its_cart_back(
    door: Door, fresh: Fresh
):
    (sku, _), (other, _) = fresh.product(), fresh.product()
    one, two = fresh.user(), fresh.user()
    await receive(door, sku, 7, 4)
    await receive(door, other, 5)
    for user in (one, two):
        await door.do("addToCart", user=user, sku=sku, count=11)
        await door.do("addToCart", user=user, sku=other, count=2)
    made = await asyncio.gather(*(door.do("purchase", user=user) for user in (one, two)))
    found = {await status(door, reply["orderID"]): n for n, reply in enumerate(made)}
    assert found.keys() == {"awaiting payment", "failed"}
    loser = (one, two)[found["failed"]]
    assert await cart(door, loser) == {sku: 11, other: 2}
    assert await cart(door, (one, two)[found["awaiting payment"]]) == {}
    assert await stocks(door, sku) == {}
    assert await stocks(door, other) == {1: 3}
    await door.do("cancelOrder", orderID=made[found["awaiting payment"]]["orderID"])
    again = (await door.do("purchase", user=loser))["orderID"]
    assert await status(door, again) == "awaiting payment"


async def test_what_is_added_during_a_purchase_that_fails_is_there_with_the_rest(
    http: HttpDoor, topics: KafkaDoor, fresh: Fresh
):
    (there, _), (scarce, _), (more, _) = (fresh.product() for _ in range(3))
    await receive(http, there, 1000)
    await receive(http, more, 1000)
    await receive(http, scarce, 1)

    # All carts may have it; only then others buy the stock.
    users = [fresh.user() for _ in range(TIMES)]
    for user in users:
        await http.do("addToCart", user=user, sku=scarce, count=1)
        await http.do("addToCart", user=user, sku=there, count=2)
    await order(http, fresh.user(), {scarce: 1})

    async def meet(user: int) -> None:
        made, *_ = await asyncio.gather(
            topics.do("purchase", user=user),
            topics.do("addToCart", user=user, sku=there, count=3),
            topics.do("addToCart", user=user, sku=more, count=4),
        )
        assert await status(http, made["orderID"]) == "failed"
        assert await cart(http, user) == {scarce: 1, there: 5, more: 4}

    await asyncio.gather(*map(meet, users))
    assert await stocks(http, there) == {1: 1000}


async def test_what_is_added_during_a_purchase_is_bought_or_stays(
    http: HttpDoor, topics: KafkaDoor, fresh: Fresh
):
    (sku, _) = fresh.product()
    await receive(http, sku, 1000)

    async def meet() -> None:
        user = fresh.user()
        await http.do("addToCart", user=user, sku=sku, count=2)
        made, *_ = await asyncio.gather(
            topics.do("purchase", user=user),
            topics.do("addToCart", user=user, sku=sku, count=5),
            topics.do("deleteFromCart", user=user, sku=sku, count=1),
        )
        bought = (await lines(http, made["orderID"]))[sku]
        left = (await cart(http, user)).get(sku, 0)
        assert (bought, left) in possible

    # All orders have these three; a delete from an empty cart changes nothing.
    possible = {(2, 5), (2, 4), (1, 5), (7, 0), (6, 0)}
    await asyncio.gather(*(meet() for _ in range(TIMES)))


async def test_a_cart_that_is_read_after_the_reply_to_a_purchase_is_up_to_date(
    door: Door, fresh: Fresh
):
    user, (sku, _) = fresh.user(), fresh.product()
    await receive(door, sku, TIMES)
    for left in range(TIMES, 0, -1):
        await door.do("addToCart", user=user, sku=sku, count=1)
        made = (await door.do("purchase", user=user))["orderID"]
        assert await cart(door, user) == {}
        assert await status(door, made) == "awaiting payment"
        assert sum((await stocks(door, sku)).values()) == left - 1
