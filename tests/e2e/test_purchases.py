"""Concurrent purchases: with each other, with an add, without enough stock."""

import asyncio

from tests.e2e.clients import HttpClient, KafkaClient, ShopClient
from tests.e2e.ids import IdFactory
from tests.e2e.steps import cart, lines, order, receive, status, stocks

TIMES = 20


async def test_two_purchases_at_once_buy_a_cart_once(
    http: HttpClient, topics: KafkaClient, ids: IdFactory
):
    (sku, _) = ids.product()
    await receive(http, sku, 100 * TIMES)

    async def race() -> None:
        user = ids.user()
        await http.do("addToCart", user=user, sku=sku, count=3)
        answers = await asyncio.gather(
            *(
                client.ask("purchase", {"user": user}, ids.key())
                for client in (http, topics, http, topics)
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
    client: ShopClient, ids: IdFactory
):
    (sku, _), (other, _) = ids.product(), ids.product()
    one, two = ids.user(), ids.user()
    await receive(client, sku, 7, 4)
    await receive(client, other, 5)
    for user in (one, two):
        await client.do("addToCart", user=user, sku=sku, count=11)
        await client.do("addToCart", user=user, sku=other, count=2)
    made = await asyncio.gather(*(client.do("purchase", user=user) for user in (one, two)))
    found = {await status(client, reply["orderID"]): n for n, reply in enumerate(made)}
    assert found.keys() == {"awaiting payment", "failed"}
    loser = (one, two)[found["failed"]]
    assert await cart(client, loser) == {sku: 11, other: 2}
    assert await cart(client, (one, two)[found["awaiting payment"]]) == {}
    assert await stocks(client, sku) == {}
    assert await stocks(client, other) == {1: 3}
    await client.do("cancelOrder", orderID=made[found["awaiting payment"]]["orderID"])
    again = (await client.do("purchase", user=loser))["orderID"]
    assert await status(client, again) == "awaiting payment"


async def test_what_is_added_during_a_purchase_that_fails_is_there_with_the_rest(
    http: HttpClient, topics: KafkaClient, ids: IdFactory
):
    (there, _), (scarce, _), (more, _) = (ids.product() for _ in range(3))
    await receive(http, there, 1000)
    await receive(http, more, 1000)
    await receive(http, scarce, 1)

    # All carts may have it; only then others buy the stock.
    users = [ids.user() for _ in range(TIMES)]
    for user in users:
        await http.do("addToCart", user=user, sku=scarce, count=1)
        await http.do("addToCart", user=user, sku=there, count=2)
    await order(http, ids.user(), {scarce: 1})

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
    http: HttpClient, topics: KafkaClient, ids: IdFactory
):
    (sku, _) = ids.product()
    await receive(http, sku, 1000)

    async def meet() -> None:
        user = ids.user()
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
    client: ShopClient, ids: IdFactory
):
    user, (sku, _) = ids.user(), ids.product()
    await receive(client, sku, TIMES)
    for left in range(TIMES, 0, -1):
        await client.do("addToCart", user=user, sku=sku, count=1)
        made = (await client.do("purchase", user=user))["orderID"]
        assert await cart(client, user) == {}
        assert await status(client, made) == "awaiting payment"
        assert sum((await stocks(client, sku)).values()) == left - 1
