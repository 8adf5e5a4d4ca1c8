"""The nine calls and receiveStock, over HTTP and over Kafka."""

from tests.e2e.clients import ShopClient
from tests.e2e.ids import IdFactory
from tests.e2e.steps import lines, order, received, status, stocks


async def test_received_units_are_in_stock(client: ShopClient, ids: IdFactory):
    sku = ids.sku()
    assert await client.do("stocks", sku=sku) == {"stocks": []}
    assert await client.do("receiveStock", sku=sku, warehouseID=7, count=5) == {}
    assert await client.do("receiveStock", sku=sku, warehouseID=-3, count=2) == {}
    assert await client.do("receiveStock", sku=sku, warehouseID=7, count=1) == {}
    assert await client.do("stocks", sku=sku) == {
        "stocks": [{"warehouseID": -3, "count": 2}, {"warehouseID": 7, "count": 6}]
    }


async def test_a_cart_accepts_available_units_and_reserves_none(
    client: ShopClient, ids: IdFactory
):
    sku, user, other = await received(client, ids, 3, 2), ids.user(), ids.user()
    assert await client.do("addToCart", user=user, sku=sku, count=4) == {}
    assert await client.refusal("addToCart", user=user, sku=sku, count=2) == (
        "insufficient-stock"
    )
    assert await client.do("addToCart", user=user, sku=sku, count=1) == {}
    assert await client.do("addToCart", user=other, sku=sku, count=5) == {}
    assert await stocks(client, sku) == {1: 3, 2: 2}


async def test_a_line_shrinks_and_is_gone_at_zero(client: ShopClient, ids: IdFactory):
    user, (sku, product) = ids.user(), ids.product()
    await client.do("receiveStock", sku=sku, warehouseID=1, count=10)
    await client.do("addToCart", user=user, sku=sku, count=5)
    assert await client.do("deleteFromCart", user=user, sku=sku, count=2) == {}
    line = {"sku": sku, "count": 3, "name": product.name, "price": product.price}
    assert await client.do("listCart", user=user) == {
        "items": [line],
        "totalPrice": 3 * product.price,
    }
    assert await client.do("deleteFromCart", user=user, sku=sku, count=9) == {}
    assert await client.do("listCart", user=user) == {"items": [], "totalPrice": 0}


async def test_deleting_a_sku_that_is_not_in_the_cart_succeeds(
    client: ShopClient, ids: IdFactory
):
    user, sku = ids.user(), ids.sku()
    assert await client.do("deleteFromCart", user=user, sku=sku, count=1) == {}
    assert await client.do("listCart", user=user) == {"items": [], "totalPrice": 0}


async def test_a_purchase_makes_the_whole_cart_one_order(
    client: ShopClient, ids: IdFactory
):
    user = ids.user()
    one, two = await received(client, ids, 5), await received(client, ids, 5)
    for sku, count in ((two, 1), (one, 2), (two, 2)):
        await client.do("addToCart", user=user, sku=sku, count=count)
    made = (await client.do("purchase", user=user))["orderID"]
    assert await client.do("listOrder", orderID=made) == {
        "status": "awaiting payment",
        "user": user,
        "items": [{"sku": one, "count": 2}, {"sku": two, "count": 3}],
    }
    assert await stocks(client, two) == {1: 2}
    assert await client.do("listCart", user=user) == {"items": [], "totalPrice": 0}


async def test_purchases_is_another_name_of_purchase(client: ShopClient, ids: IdFactory):
    user, sku = ids.user(), await received(client, ids, 1)
    await client.do("addToCart", user=user, sku=sku, count=1)
    made = (await client.do("purchases", user=user))["orderID"]
    assert await status(client, made) == "awaiting payment"


async def test_an_empty_cart_cannot_be_bought(client: ShopClient, ids: IdFactory):
    user, sku = ids.user(), await received(client, ids, 1)
    assert await client.refusal("purchase", user=user) == "cart-empty"
    await client.do("addToCart", user=user, sku=sku, count=1)
    await client.do("purchase", user=user)
    assert await client.refusal("purchases", user=user) == "cart-empty"


async def test_lines_of_an_order_are_added_up_and_sorted(
    client: ShopClient, ids: IdFactory
):
    user = ids.user()
    one, two = await received(client, ids, 9), await received(client, ids, 9)
    items = [{"sku": two, "count": 4}, {"sku": one, "count": 1}, {"sku": two, "count": 3}]
    made = (await client.do("createOrder", user=user, items=items))["orderID"]
    assert await lines(client, made) == {one: 1, two: 7}


async def test_units_are_taken_from_the_fullest_warehouses_first(
    client: ShopClient, ids: IdFactory
):
    sku = await received(client, ids, 4, 7, 7, 1)
    await order(client, ids.user(), {sku: 5})
    assert await stocks(client, sku) == {1: 4, 2: 2, 3: 7, 4: 1}
    await order(client, ids.user(), {sku: 10})
    assert await stocks(client, sku) == {1: 1, 2: 2, 4: 1}


async def test_an_order_without_enough_stock_fails_and_reserves_nothing(
    client: ShopClient, ids: IdFactory
):
    there, scarce = await received(client, ids, 3, 4), await received(client, ids, 1)
    made = await order(client, ids.user(), {there: 6, scarce: 2})
    assert await status(client, made) == "failed"
    assert await stocks(client, there) == {1: 3, 2: 4}
    assert await stocks(client, scarce) == {1: 1}
    assert await client.refusal("orderPayed", orderID=made) == "wrong-status"
    assert await client.refusal("cancelOrder", orderID=made) == "wrong-status"


async def test_paid_units_are_written_off_once(client: ShopClient, ids: IdFactory):
    sku = await received(client, ids, 5)
    made = await order(client, ids.user(), {sku: 2})
    assert await client.do("orderPayed", orderID=made) == {}
    assert await client.do("orderPayed", orderID=made) == {}
    assert await status(client, made) == "paid"
    assert await client.refusal("cancelOrder", orderID=made) == "wrong-status"
    assert await stocks(client, sku) == {1: 3}


async def test_cancelled_units_return_to_their_warehouses(
    client: ShopClient, ids: IdFactory
):
    sku = await received(client, ids, 5, 3, 4)
    made = await order(client, ids.user(), {sku: 10})
    assert await stocks(client, sku) == {2: 2}
    assert await client.do("cancelOrder", orderID=made) == {}
    assert await stocks(client, sku) == {1: 5, 2: 3, 3: 4}
    assert await client.do("cancelOrder", orderID=made) == {}
    assert await client.refusal("orderPayed", orderID=made) == "wrong-status"
    assert await status(client, made) == "cancelled"
    assert await stocks(client, sku) == {1: 5, 2: 3, 3: 4}


async def test_an_order_that_was_never_created_is_unknown(client: ShopClient):
    for call in ("listOrder", "orderPayed", "cancelOrder"):
        for made in (424242, -1, -(2**63), 2**63 - 1):
            assert await client.refusal(call, orderID=made) == "unknown-order"


async def test_a_failed_purchase_returns_its_order_and_restores_the_cart(
    client: ShopClient, ids: IdFactory
):
    user, (sku, product) = ids.user(), ids.product()
    await client.do("receiveStock", sku=sku, warehouseID=1, count=5)
    await client.do("addToCart", user=user, sku=sku, count=5)
    await order(client, ids.user(), {sku: 1})
    made = (await client.do("purchase", user=user))["orderID"]
    assert await status(client, made) == "failed"
    assert (await client.do("listCart", user=user))["totalPrice"] == 5 * product.price
    assert await stocks(client, sku) == {1: 4}
