"""Steps of scenarios, for any client of the shop."""

from collections.abc import Mapping

from tests.e2e.doors import Door
from tests.e2e.people import Fresh


async def receive(door: Door, sku: int, *counts: int) -> None:
    """Receive units in warehouses 1, 2, …"""
    for warehouse, count in enumerate(counts, start=1):
        await door.do("receiveStock", sku=sku, warehouseID=warehouse, count=count)


async def received(door: Door, fresh: Fresh, *counts: int) -> int:
    """Receive units of a new sku in warehouses 1, 2, …; return the sku."""
    sku = fresh.sku()
    await receive(door, sku, *counts)
    return sku


async def stocks(door: Door, sku: int) -> dict[int, int]:
    """Return the units that can be bought now, by warehouse."""
    places = (await door.do("stocks", sku=sku))["stocks"]
    assert places == sorted(places, key=lambda place: place["warehouseID"])
    return {place["warehouseID"]: place["count"] for place in places}


async def order(
    door: Door, user: int, lines: Mapping[int, int], key: str | None = None
) -> int:
    """Create an order with these counts by sku; return its id."""
    items = [{"sku": sku, "count": count} for sku, count in lines.items()]
    return (await door.do("createOrder", key, user=user, items=items))["orderID"]


async def status(door: Door, order_id: int) -> str:
    """Return the status of an order."""
    return (await door.do("listOrder", orderID=order_id))["status"]


async def lines(door: Door, order_id: int) -> dict[int, int]:
    """Return the counts of an order by sku."""
    items = (await door.do("listOrder", orderID=order_id))["items"]
    assert items == sorted(items, key=lambda item: item["sku"])
    return {item["sku"]: item["count"] for item in items}


async def cart(door: Door, user: int) -> dict[int, int]:
    """Return the counts in a cart by sku; ProductService must have all of them."""
    return {i["sku"]: i["count"] for i in (await door.do("listCart", user=user))["items"]}


async def bought(door: Door, fresh: Fresh, lines: Mapping[int, int]) -> int:
    """Purchase a new user's cart with these lines; return the order's id."""
    user = fresh.user()
    for sku, count in lines.items():
        await door.do("addToCart", user=user, sku=sku, count=count)
    return (await door.do("purchase", user=user))["orderID"]
