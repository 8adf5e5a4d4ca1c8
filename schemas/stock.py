"""Contracts of stock: what is asked of one sku's goods, over all warehouses."""

from typing import Annotated, Literal

from pydantic import Field

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
    """Put goods into a warehouse."""

    type: Literal["receiveStock"] = "receiveStock"
    warehouse_id: WarehouseId = Field(alias="warehouseID")
    count: StockCount


class CheckStock(SkuMessage, extra="ignore"):
    """A cart's question whether a line can be bought now."""

    type: Literal["checkStock"] = "checkStock"
    user: UserId
    count: Count


class Reserve(SkuMessage, extra="ignore"):
    """Set goods aside for an order's line; all of it or nothing."""

    type: Literal["reserve"] = "reserve"
    order_id: OrderId = Field(alias="orderID")
    count: Count


class Release(SkuMessage, extra="ignore"):
    """Give an order's goods back to the warehouses they came from."""

    type: Literal["release"] = "release"
    order_id: OrderId = Field(alias="orderID")


class Sell(SkuMessage, extra="ignore"):
    """Write an order's goods off: it is paid."""

    type: Literal["sell"] = "sell"
    order_id: OrderId = Field(alias="orderID")


StockRequest = Annotated[
    ListStocks | ReceiveStock | CheckStock | Reserve | Release | Sell,
    Field(discriminator="type"),
]

# Replies


class Stock(Contract, extra="ignore"):
    """What can be bought now in one warehouse: goods minus reservations."""

    warehouse_id: WarehouseId = Field(alias="warehouseID")
    count: StockCount


class StocksView(Contract, extra="ignore"):
    """The reply to stocks: ascending warehouse; those with nothing left are omitted."""

    type: Literal["stocks"] = "stocks"
    stocks: tuple[Stock, ...]
