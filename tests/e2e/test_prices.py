"""Names and prices: those of this moment, from a service that is not ours."""

import asyncio
import time

import pytest

from tests.e2e.clients import HttpClient, ShopClient
from tests.e2e.ids import IdFactory
from tests.e2e.products import Products
from tests.e2e.shop import Shop
from tests.e2e.steps import cart, order, receive, received, status, stocks

# The limits of ProductService, which no other call may notice.
SLOW_SECONDS = 3.0
AT_ONCE_SECONDS = 2.0


async def _in_cart(client: ShopClient, user: int, **counts_by_sku: int) -> None:
    for name, count in counts_by_sku.items():
        sku = int(name.removeprefix("sku"))
        await receive(client, sku, count)
        await client.do("addToCart", user=user, sku=sku, count=count)


async def test_a_cart_shows_the_names_and_prices_of_product_service(
    client: ShopClient, ids: IdFactory
):
    user = ids.user()
    await _in_cart(client, user, sku773297411=2, sku2958025=1, sku1148162=3)
    assert await client.do("listCart", user=user) == {
        "items": [
            {"sku": 1148162, "count": 3, "name": "Кулинар Гуров", "price": 2931},
            {
                "sku": 2958025,
                "count": 1,
                "name": "Roxy Music. Stranded. Remastered Edition",
                "price": 1028,
            },
            {
                "sku": 773297411,
                "count": 2,
                "name": "Кроссовки Nike JORDAN",
                "price": 2202,
            },
        ],
        "totalPrice": 3 * 2931 + 1028 + 2 * 2202,
    }


async def test_a_new_name_and_price_are_seen_at_once(
    client: ShopClient, ids: IdFactory, products: Products
):
    user, sku = ids.user(), await received(client, ids, 9)
    await products.sell(sku, "before", 10)
    await client.do("addToCart", user=user, sku=sku, count=9)
    assert (await client.do("listCart", user=user))["totalPrice"] == 90
    for name, price in (("«после» 🛒", 2**31), ("", 0)):
        await products.sell(sku, name, price)
        if 9 * price < 2**32:
            [line] = (await client.do("listCart", user=user))["items"]
            assert (line["name"], line["price"]) == (name, price)
        else:
            assert await client.refusal("listCart", user=user) == "total-too-large"


async def test_each_product_of_a_cart_is_asked_for_once(
    client: ShopClient, ids: IdFactory, products: Products
):
    user, (sku, _), (other, _) = ids.user(), ids.product(), ids.product()
    await _in_cart(client, user, **{f"sku{sku}": 5, f"sku{other}": 2})
    await products.forget_calls()
    await client.do("listCart", user=user)
    assert await products.calls() == {sku: 1, other: 1}


async def test_a_total_of_4294967295_is_shown_and_one_more_is_refused(
    client: ShopClient, ids: IdFactory, products: Products
):
    user = ids.user()
    full, cheap = await received(client, ids, 65535), await received(client, ids, 1)
    await products.sell(full, "full", 65537)
    await products.sell(cheap, "cheap", 1)
    await client.do("addToCart", user=user, sku=full, count=65535)
    assert (await client.do("listCart", user=user))["totalPrice"] == 2**32 - 1
    await client.do("addToCart", user=user, sku=cheap, count=1)
    assert await client.refusal("listCart", user=user) == "total-too-large"
    await client.do("deleteFromCart", user=user, sku=cheap, count=1)
    assert (await client.do("listCart", user=user))["totalPrice"] == 2**32 - 1


async def test_a_sum_far_over_uint32_is_refused_and_never_wrapped(
    client: ShopClient, ids: IdFactory
):
    for sku in (4294967295, 65538):
        user = ids.user()
        await receive(client, sku, 65535)
        await client.do("addToCart", user=user, sku=sku, count=65535)
        assert await client.refusal("listCart", user=user) == "total-too-large"


async def test_a_product_that_is_not_sold_is_named_and_can_still_be_bought(
    client: ShopClient, ids: IdFactory
):
    user, (known, _) = ids.user(), ids.product()
    unknown = await received(client, ids, 1)
    await receive(client, known, 1)
    for sku in (known, unknown):
        await client.do("addToCart", user=user, sku=sku, count=1)
    answer = await client.ask("listCart", {"user": user})
    assert (answer.code, str(unknown) in answer.text) == ("unknown-product", True)
    await client.do("deleteFromCart", user=user, sku=unknown, count=1)
    assert await cart(client, user) == {known: 1}


async def test_calls_that_fail_in_passing_are_made_again(
    client: ShopClient, ids: IdFactory, products: Products
):
    user, (sku, _) = ids.user(), ids.product()
    await _in_cart(client, user, **{f"sku{sku}": 1})
    await products.fail_next(2)
    assert await cart(client, user) == {sku: 1}


async def test_without_product_service_only_the_prices_are_missing(
    shop: Shop, http: HttpClient, topics: ShopClient, ids: IdFactory
):
    user, sku = ids.user(), await received(http, ids, 5)
    await http.do("addToCart", user=user, sku=sku, count=1)
    await shop["product-service"].stop()
    try:
        replies = await asyncio.gather(
            *(d.refusal("listCart", user=user) for d in (http, topics))
        )
        assert replies == ["product-service", "product-service"]
        await http.do("addToCart", user=user, sku=sku, count=1)
        made = (await http.do("purchase", user=user))["orderID"]
        assert await status(http, made) == "awaiting payment"
        assert await http.do("listCart", user=user) == {"items": [], "totalPrice": 0}
    finally:
        shop["product-service"].start()
    await _in_cart(http, user, sku773297411=1)
    await _priced(http, user)


async def _priced(client: ShopClient, user: int) -> None:
    """Wait until ProductService is found again."""
    for _ in range(4):  # each within the budget of a cart
        answer = await client.ask("listCart", {"user": user})
        if answer.code is None:
            return
        assert answer.code == "product-service"
    pytest.fail("ProductService is not found again")


async def test_a_slow_product_service_delays_neither_carts_nor_orders_nor_stock(
    http: HttpClient, topics: ShopClient, ids: IdFactory, products: Products
):
    sku = await received(http, ids, 100)
    users = [ids.user() for _ in range(20)]
    for user in users:
        await http.do("addToCart", user=user, sku=sku, count=1)
    async with products.slow(SLOW_SECONDS):
        waiting = [
            asyncio.create_task(http.ask("listCart", {"user": user})) for user in users
        ]
        began = time.monotonic()
        while time.monotonic() < began + SLOW_SECONDS / 2:
            for client in (http, topics):
                at = time.monotonic()
                await client.do("addToCart", user=users[0], sku=sku, count=1)
                await client.do("deleteFromCart", user=users[0], sku=sku, count=1)
                await stocks(client, sku)
                await order(client, users[1], {sku: 1})
                assert time.monotonic() - at < AT_ONCE_SECONDS
        answers = await asyncio.gather(*waiting)
    assert {answer.code for answer in answers} == {"product-service"}
