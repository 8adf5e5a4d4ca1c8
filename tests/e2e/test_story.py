"""The nine calls and receiveStock, over HTTP and over Kafka."""

from tests.e2e.doors import Door
from tests.e2e.people import Fresh
from tests.e2e.scenes import lines, order, received, status, stocks


async def test_received_units_are_in_stock(door: Door, fresh: Fresh):
    sku = fresh.sku()
    assert await door.do("stocks", sku=sku) == {"stocks": []}
    assert await door.do("receiveStock", sku=sku, warehouseID=7, count=5) == {}
    assert await door.do("receiveStock", sku=sku, warehouseID=-3, count=2) == {}
    assert await door.do("receiveStock", sku=sku, warehouseID=7, count=1) == {}
    assert await door.do("stocks", sku=sku) == {
        "stocks": [{"warehouseID": -3, "count": 2}, {"warehouseID": 7, "count": 6}]
    }


async def test_a_cart_accepts_available_units_and_reserves_none(door: Door, fresh: Fresh):
    sku, user, other = await received(door, fresh, 3, 2), fresh.user(), fresh.user()
    assert await door.do("addToCart", user=user, sku=sku, count=4) == {}
    assert await door.refusal("addToCart", user=user, sku=sku, count=2) == (
        "insufficient-stock"
    )
    assert await door.do("addToCart", user=user, sku=sku, count=1) == {}
    assert await door.do("addToCart", user=other, sku=sku, count=5) == {}
    assert await stocks(door, sku) == {1: 3, 2: 2}


async def test_a_line_shrinks_and_is_gone_at_zero(door: Door, fresh: Fresh):
    user, (sku, product) = fresh.user(), fresh.product()
    await door.do("receiveStock", sku=sku, warehouseID=1, count=10)
    await door.do("addToCart", user=user, sku=sku, count=5)
    assert await door.do("deleteFromCart", user=user, sku=sku, count=2) == {}
    line = {"sku": sku, "count": 3, "name": product.name, "price": product.price}
    assert await door.do("listCart", user=user) == {
        "items": [line],
        "totalPrice": 3 * product.price,
    }
    assert await door.do("deleteFromCart", user=user, sku=sku, count=9) == {}
    assert await door.do("listCart", user=user) == {"items": [], "totalPrice": 0}


async def test_deleting_a_sku_that_is_not_in_the_cart_succeeds(door: Door, fresh: Fresh):
    user, sku = fresh.user(), fresh.sku()
    assert await door.do("deleteFromCart", user=user, sku=sku, count=1) == {}
    assert await door.do("listCart", user=user) == {"items": [], "totalPrice": 0}


async def test_a_purchase_makes_the_whole_cart_one_order(door: Door, fresh: Fresh):
    user = fresh.user()
    one, two = await received(door, fresh, 5), await received(door, fresh, 5)
    for sku, count in ((two, 1), (one, 2), (two, 2)):
        await door.do("addToCart", user=user, sku=sku, count=count)
    made = (await door.do("purchase", user=user))["orderID"]
    assert await door.do("listOrder", orderID=made) == {
        "status": "awaiting payment",
        "user": user,
        "items": [{"sku": one, "count": 2}, {"sku": two, "count": 3}],
    }
    assert await stocks(door, two) == {1: 2}
    assert await door.do("listCart", user=user) == {"items": [], "totalPrice": 0}


async def test_purchases_is_another_name_of_purchase(door: Door, fresh: Fresh):
    user, sku = fresh.user(), await received(door, fresh, 1)
    await door.do("addToCart", user=user, sku=sku, count=1)
    made = (await door.do("purchases", user=user))["orderID"]
    assert await status(door, made) == "awaiting payment"


async def test_an_empty_cart_cannot_be_bought(door: Door, fresh: Fresh):
    user, sku = fresh.user(), await received(door, fresh, 1)
    assert await door.refusal("purchase", user=user) == "cart-empty"
    await door.do("addToCart", user=user, sku=sku, count=1)
    await door.do("purchase", user=user)
    assert await door.refusal("purchases", user=user) == "cart-empty"


async def test_lines_of_an_order_are_added_up_and_sorted(door: Door, fresh: Fresh):
    user = fresh.user()
    one, two = await received(door, fresh, 9), await received(door, fresh, 9)
    items = [{"sku": two, "count": 4}, {"sku": one, "count": 1}, {"sku": two, "count": 3}]
    made = (await door.do("createOrder", user=user, items=items))["orderID"]
    assert await lines(door, made) == {one: 1, two: 7}


async def test_units_are_taken_from_the_fullest_warehouses_first(door: Door, fresh: Fresh):
    sku = await received(door, fresh, 4, 7, 7, 1)
    await order(door, fresh.user(), {sku: 5})
    assert await stocks(door, sku) == {1: 4, 2: 2, 3: 7, 4: 1}
    await order(door, fresh.user(), {sku: 10})
    assert await stocks(door, sku) == {1: 1, 2: 2, 4: 1}


async def test_an_order_without_enough_stock_fails_and_reserves_nothing(
    door: Door, fresh: Fresh
):
    there, scarce = await received(door, fresh, 3, 4), await received(door, fresh, 1)
    made = await order(door, fresh.user(), {there: 6, scarce: 2})
    assert await status(door, made) == "failed"
    assert await stocks(door, there) == {1: 3, 2: 4}
    assert await stocks(door, scarce) == {1: 1}
    assert await door.refusal("orderPayed", orderID=made) == "wrong-status"
    assert await door.refusal("cancelOrder", orderID=made) == "wrong-status"


async def test_paid_units_are_written_off_once(door: Door, fresh: Fresh):
    sku = await received(door, fresh, 5)
    made = await order(door, fresh.user(), {sku: 2})
    assert await door.do("orderPayed", orderID=made) == {}
    assert await door.do("orderPayed", orderID=made) == {}
    assert await status(door, made) == "paid"
    assert await door.refusal("cancelOrder", orderID=made) == "wrong-status"
    assert await stocks(door, sku) == {1: 3}


async def test_cancelled_units_return_to_their_warehouses(door: Door, fresh: Fresh):
    sku = await received(door, fresh, 5, 3, 4)
    made = await order(door, fresh.user(), {sku: 10})
    assert await stocks(door, sku) == {2: 2}
    assert await door.do("cancelOrder", orderID=made) == {}
    assert await stocks(door, sku) == {1: 5, 2: 3, 3: 4}
    assert await door.do("cancelOrder", orderID=made) == {}
    assert await door.refusal("orderPayed", orderID=made) == "wrong-status"
    assert await status(door, made) == "cancelled"
    assert await stocks(door, sku) == {1: 5, 2: 3, 3: 4}


async def test_an_order_that_was_never_created_is_unknown(door: Door):
    for call in ("listOrder", "orderPayed", "cancelOrder"):
        for made in (424242, -1, -(2**63), 2**63 - 1):
            assert await door.refusal(call, orderID=made) == "unknown-order"


async def test_a_failed_purchase_returns_its_order_and_restores_the_cart(
    door: Door, fresh: Fresh
):
    user, (sku, product) = fresh.user(), fresh.product()
    await door.do("receiveStock", sku=sku, warehouseID=1, count=5)
    await door.do("addToCart", user=user, sku=sku, count=5)
    await order(door, fresh.user(), {sku: 1})
    made = (await door.do("purchase", user=user))["orderID"]
    assert await status(door, made) == "failed"
    assert (await door.do("listCart", user=user))["totalPrice"] == 5 * product.price
    assert await stocks(door, sku) == {1: 4}
