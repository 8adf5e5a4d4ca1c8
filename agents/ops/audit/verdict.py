"""What must be true of the tables together, once all logs are folded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agents.cause import purchase_id
from agents.checkout.cart import Cart
from agents.loms.order import Order
from agents.loms.stock import Reservation
from agents.ops.audit.invariants import (
    Balances,
    StockLocation,
    balances,
    order_violations,
    orphans,
)
from agents.runtime.producer import partition_of
from schemas.contract import SHARDS, Contract
from schemas.order import Status, order_id

Rows = Mapping[str, Any]


@dataclass(frozen=True)
class Tables:
    """All tables, each as its partitions' rows in order of their numbers."""

    carts: list[Rows]
    orders: list[Rows]
    stock: list[Rows]

    def order(self, number: int) -> Order | None:
        """Find an order."""
        found: Order | None = _home(self.orders, number % SHARDS).get(str(number))
        return found

    def entry(self, sku: int, order: int) -> Reservation | None:
        """Find what stock has of a sku for an order."""
        found: Reservation | None = _home(self.stock, sku).get(f"{sku}/{order}")
        return found


def _home(partitions: list[Rows], key: int) -> Rows:
    return partitions[partition_of(str(key).encode(), len(partitions))]


def conservation(
    tables: Tables, received: Mapping[int, Mapping[StockLocation, int]]
) -> Iterator[Balances]:
    """Yield the ledger of each partition of stock.

    Args:
        tables: all.
        received: what the logs say was put in, of those partitions that were folded.
    """
    for number, rows in enumerate(tables.stock):
        yield balances(rows, received.get(number))


class InFlight:
    """Whom messages concern that are under way: nothing can be said of them now."""

    def __init__(self, under_way: list[Contract | None]) -> None:
        self.orders = {getattr(message, "order_id", None) for message in under_way}
        self.users = {getattr(message, "user", None) for message in under_way}


def inconsistencies(tables: Tables, involved: InFlight) -> Iterator[str]:
    """Say where carts, orders and stock tell different stories."""
    for rows in tables.orders:
        for order in rows.values():
            if order.order_id not in involved.orders:
                yield from order_violations(order, tables.entry)
    for rows in tables.stock:
        for number, text in orphans(rows, tables.order):
            if number not in involved.orders:
                yield text
    for rows in tables.carts:
        for user, cart in rows.items():
            if int(user) not in involved.users:
                yield from _stuck_purchases(tables, int(user), cart)


def _stuck_purchases(tables: Tables, user: int, cart: Cart) -> Iterator[str]:
    """Purchases that wait for an order which will not tell any more how it ended."""
    for purchase in cart.checkouts:
        order = tables.order(order_id(user, purchase_id(purchase)))
        if order is None or order.status is not Status.NEW:
            status = order.status if order else "not there"
            yield f"user {user} waits for purchase {purchase}, whose order is {status}"
