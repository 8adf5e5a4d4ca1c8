"""Contracts of stock: what is asked of one sku's goods, over all warehouses."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.contract import Contract, Count, Goods, OfSku, OrderId, UserId, WarehouseId

# Requests


class ListStocks(OfSku):
    """Show what can be bought now, per warehouse."""

    type: Literal["stocks"] = "stocks"


class ReceiveStock(OfSku):
    """Put goods into a warehouse."""

    type: Literal["receiveStock"] = "receiveStock"
    warehouse_id: WarehouseId = Field(alias="warehouseID")
    count: Goods


class CheckStock(OfSku, extra="ignore"):
    """A cart's question whether a line can be bought now."""

    type: Literal["checkStock"] = "checkStock"
    user: UserId
    count: Count


class Reserve(OfSku, extra="ignore"):
    """Set goods aside for an order's line; all of it or nothing."""

    type: Literal["reserve"] = "reserve"
    order_id: OrderId = Field(alias="orderID")
    count: Count


class Release(OfSku, extra="ignore"):
    """Give an order's goods back to the warehouses they came from."""

    type: Literal["release"] = "release"
    order_id: OrderId = Field(alias="orderID")


class Sell(OfSku, extra="ignore"):
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
    count: Goods


class StocksView(Contract, extra="ignore"):
    """The reply to stocks: ascending warehouse; those with nothing left are omitted."""

    type: Literal["stocks"] = "stocks"
    stocks: tuple[Stock, ...]
