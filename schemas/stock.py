"""Contracts of stock: requests and replies about one sku, over all warehouses."""

from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field

from schemas.contract import (
    Contract,
    Count,
    OrderId,
    SkuMessage,
    StockCount,
    UserId,
    WarehouseId,
)

# Requests


class ListStocks(SkuMessage):
    """Show what can be bought now, per warehouse."""

    type: Literal["stocks"] = "stocks"


class ReceiveStock(SkuMessage):
    """Add units to a warehouse."""

    type: Literal["receiveStock"] = "receiveStock"
    warehouse_id: WarehouseId = Field(alias="warehouseID")
    count: StockCount


class CheckStock(SkuMessage, extra="ignore"):
    """Check whether a line of a cart can be bought now."""

    type: Literal["checkStock"] = "checkStock"
    user: UserId
    count: Count


class Reserve(SkuMessage, extra="ignore"):
    """Reserve an order's line; all units or none.

    `at` is when the order was created; older releases do not send it.
    """

    type: Literal["reserve"] = "reserve"
    order_id: OrderId = Field(alias="orderID")
    count: Count
    at: AwareDatetime | None = None


class Release(SkuMessage, extra="ignore"):
    """Return an order's units to their warehouses."""

    type: Literal["release"] = "release"
    order_id: OrderId = Field(alias="orderID")


class Sell(SkuMessage, extra="ignore"):
    """Write off the units of a paid order."""

    # A reservation is sold once, however late this is repeated, and a client's next query
    # is the same before and after: reserved units can't be bought either. So neither the
    # order's row nor the reply waits for it.
    deferred: ClassVar[bool] = True

    type: Literal["sell"] = "sell"
    order_id: OrderId = Field(alias="orderID")


StockRequest = Annotated[
    ListStocks | ReceiveStock | CheckStock | Reserve | Release | Sell,
    Field(discriminator="type"),
]

# Replies


class Stock(Contract, extra="ignore"):
    """Units that can be bought now in one warehouse: stock minus reservations."""

    warehouse_id: WarehouseId = Field(alias="warehouseID")
    count: StockCount


class StocksView(Contract, extra="ignore"):
    """The reply to stocks: ascending warehouse; those with nothing left are omitted."""

    type: Literal["stocks"] = "stocks"
    stocks: tuple[Stock, ...]
