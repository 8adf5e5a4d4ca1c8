"""Steps of scenarios, for any client of the shop."""

from collections.abc import Mapping

from tests.e2e.clients import ShopClient
from tests.e2e.ids import IdFactory


async def receive(client: ShopClient, sku: int, *counts: int) -> None:
    """Receive units in warehouses 1, 2, …"""
    for warehouse, count in enumerate(counts, start=1):
        await client.do("receiveStock", sku=sku, warehouseID=warehouse, count=count)


async def received(client: ShopClient, ids: IdFactory, *counts: int) -> int:
    """Receive units of a new sku in warehouses 1, 2, …; return the sku."""
    sku = ids.sku()
    await receive(client, sku, *counts)
    return sku


async def stocks(client: ShopClient, sku: int) -> dict[int, int]:
    """Return the units that can be bought now, by warehouse."""
    places = (await client.do("stocks", sku=sku))["stocks"]
    assert places == sorted(places, key=lambda place: place["warehouseID"])
    return {place["warehouseID"]: place["count"] for place in places}


async def order(
    client: ShopClient, user: int, lines: Mapping[int, int], key: str | None = None
) -> int:
    """Create an order with these counts by sku; return its id."""
    items = [{"sku": sku, "count": count} for sku, count in lines.items()]
    return (await client.do("createOrder", key, user=user, items=items))["orderID"]


async def status(client: ShopClient, order_id: int) -> str:
    """Return the status of an order."""
    return (await client.do("listOrder", orderID=order_id))["status"]


async def lines(client: ShopClient, order_id: int) -> dict[int, int]:
    """Return the counts of an order by sku."""
    items = (await client.do("listOrder", orderID=order_id))["items"]
    assert items == sorted(items, key=lambda item: item["sku"])
    return {item["sku"]: item["count"] for item in items}


async def cart(client: ShopClient, user: int) -> dict[int, int]:
    """Return the counts in a cart by sku; ProductService must have all of them."""
    return {i["sku"]: i["count"] for i in (await client.do("listCart", user=user))["items"]}


async def bought(client: ShopClient, ids: IdFactory, lines: Mapping[int, int]) -> int:
    """Purchase a new user's cart with these lines; return the order's id."""
    user = ids.user()
    for sku, count in lines.items():
        await client.do("addToCart", user=user, sku=sku, count=count)
    return (await client.do("purchase", user=user))["orderID"]
