"""The HTTP surface, as a table: whatever is not in it is not there."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from schemas.cart import AddToCart, CartView, DeleteFromCart, ListCart, Purchase
from schemas.contract import Contract, Done, Refused
from schemas.order import (
    CancelOrder,
    CreateOrder,
    ListOrder,
    OrderPlaced,
    OrderView,
    PayOrder,
)
from schemas.stock import ListStocks, ReceiveStock, StocksView


@dataclass(frozen=True)
class Route:
    """One call: POST to the path what it asks, and get what it answers or a refusal."""

    path: str
    asks: type[Contract]
    answers: type[Contract]
    doc: str

    @cached_property
    def request(self) -> TypeAdapter[Contract]:
        """Reads a body; built once, since building takes far longer than reading."""
        return TypeAdapter(self.asks)

    @cached_property
    def reply(self) -> TypeAdapter[Any]:
        """Reads what may come back to this call, and nothing else."""
        union: Any = self.answers | Refused
        return TypeAdapter(Annotated[union, Field(discriminator="type")])


ROUTES = (
    Route("/addToCart", AddToCart, Done, "Put more pieces of a sku into a cart."),
    Route("/deleteFromCart", DeleteFromCart, Done, "Take pieces of a sku off a cart."),
    Route("/listCart", ListCart, CartView, "Show a cart, with names and prices of now."),
    Route("/purchase", Purchase, OrderPlaced, "Make the whole cart one order."),
    Route("/purchases", Purchase, OrderPlaced, "The same as /purchase."),
    Route("/createOrder", CreateOrder, OrderPlaced, "Create an order, reserve its goods."),
    Route("/listOrder", ListOrder, OrderView, "Show an order."),
    Route("/orderPayed", PayOrder, Done, "Mark an order as paid; its goods are sold."),
    Route("/cancelOrder", CancelOrder, Done, "Cancel an order, give back its goods."),
    Route("/stocks", ListStocks, StocksView, "Show what can be bought now of a sku."),
    Route("/receiveStock", ReceiveStock, Done, "Put goods into a warehouse."),
)
