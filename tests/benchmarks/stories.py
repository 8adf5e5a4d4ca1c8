"""What customers of the benchmark do over HTTP, each time with another number."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from agents.ops.product_stand_in import INVENTED
from tests.benchmarks.http import Client

Story = Callable[[Client, int], Awaitable[object]]

SKUS = tuple(INVENTED)
PLENTY = 2**40
LARGE_CART = 30
READERS = 64
_FIRST_USER = 100_000_000
_READER = 90_000_000


def user(number: int) -> int:
    """Return a user that no other story has."""
    return _FIRST_USER + number


def sku(number: int) -> int:
    """Return one of the skus with enough stock."""
    return SKUS[number % len(SKUS)]


async def stocks(client: Client, number: int) -> None:
    """Query the stock of a sku."""
    await client.ask("stocks", sku=sku(number))


async def list_cart(client: Client, number: int) -> None:
    """List a cart of 30 lines with names and prices."""
    reader = number % READERS
    cart = await client.ask("listCart", user=_READER + reader)
    assert len(cart["items"]) == LARGE_CART


async def full_story(client: Client, number: int) -> None:
    """Add a product to a cart, purchase it and pay."""
    buyer = user(number)
    await client.ask("addToCart", user=buyer, sku=sku(number), count=1)
    placed = await client.ask("purchase", user=buyer)
    await client.ask("orderPayed", orderID=placed["orderID"])


async def create_order(client: Client, number: int, lines: int = 1) -> None:
    """Create an order with a number of lines."""
    items = [{"sku": sku(number + line), "count": 1} for line in range(lines)]
    await client.ask("createOrder", user=user(number), items=items)


async def create_hot_order(client: Client, number: int) -> None:
    """Create an order of a sku that all other clients order, too."""
    items = [{"sku": SKUS[0], "count": 1}]
    await client.ask("createOrder", user=user(number), items=items)


ten_lines: Story = partial(create_order, lines=10)


async def stock_up(clients: Sequence[Client]) -> None:
    """Receive stock of all skus, and fill the carts of `list_cart`."""
    await _spread(clients, SKUS, _receive)
    await _spread(clients, range(READERS), _fill)


async def _receive(client: Client, what: int) -> None:
    await client.ask("receiveStock", sku=what, warehouseID=1, count=PLENTY)


async def _fill(client: Client, reader: int) -> None:
    for line in range(LARGE_CART):
        what = sku(reader + line)
        await client.ask("addToCart", user=_READER + reader, sku=what, count=1)


async def _spread(
    clients: Sequence[Client], work: Sequence[int], do: Callable[[Client, int], Awaitable]
) -> None:
    async def share(first: int, client: Client) -> None:
        for each in work[first :: len(clients)]:
            await do(client, each)

    await asyncio.gather(*(share(n, client) for n, client in enumerate(clients)))


async def contend(clients: Sequence[Client], what: int, units: int) -> dict[str, int]:
    """Order a unit with each client at the same moment; count the orders' statuses."""
    await clients[0].ask("receiveStock", sku=what, warehouseID=1, count=units)
    items = [{"sku": what, "count": 1}]
    placed = await asyncio.gather(
        *(c.ask("createOrder", user=what + n, items=items) for n, c in enumerate(clients))
    )
    counts: dict[str, int] = {}
    for client, order in zip(clients, placed, strict=True):
        seen = await client.ask("listOrder", orderID=order["orderID"])
        counts[seen["status"]] = counts.get(seen["status"], 0) + 1
    return counts
