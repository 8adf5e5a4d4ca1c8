"""The HTTP surface, as a table: whatever is not in it is not there."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from schemas.cart import AddToCart, CartView, DeleteFromCart, ListCart, Purchase
from schemas.contract import Code, Contract, Done, Refused
from schemas.decoder import Decoder
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
    """One call: POST to the path what it asks, and get what it answers or a refusal.

    Attributes:
        refuses: the refusals that are of this call, beside those that any may get.
    """

    path: str
    request: type[Contract]
    reply: type[Contract]
    doc: str
    errors: tuple[Code, ...] = ()

    @cached_property
    def request_adapter(self) -> Decoder:
        """Reads a body; built once, since building takes far longer than reading."""
        return Decoder(self.request)

    @cached_property
    def reply_adapter(self) -> TypeAdapter[Any]:
        """Reads what may come back to this call, and nothing else."""
        union: Any = self.reply | Refused
        return TypeAdapter(Annotated[union, Field(discriminator="type")])


_CART = (Code.INSUFFICIENT_STOCK, Code.CART_FULL, Code.COUNT_TOO_LARGE)
_PRICES = (Code.UNKNOWN_PRODUCT, Code.PRODUCT_SERVICE, Code.TOTAL_TOO_LARGE)
_BUYING = (Code.CART_EMPTY, Code.CART_FULL)  # full: of what failed purchases gave back
_UNKNOWN = (Code.UNKNOWN_ORDER,)
_STATUS = (Code.UNKNOWN_ORDER, Code.WRONG_STATUS)
_FULL = (Code.COUNT_TOO_LARGE,)

ROUTES = (
    Route("/addToCart", AddToCart, Done, "Put more pieces of a sku into a cart.", _CART),
    Route("/deleteFromCart", DeleteFromCart, Done, "Take pieces of a sku off a cart."),
    Route(
        "/listCart", ListCart, CartView, "Show a cart, names and prices of now.", _PRICES
    ),
    Route("/purchase", Purchase, OrderPlaced, "Make the whole cart one order.", _BUYING),
    Route("/purchases", Purchase, OrderPlaced, "The same as /purchase.", _BUYING),
    Route("/createOrder", CreateOrder, OrderPlaced, "Create an order, reserve its goods."),
    Route("/listOrder", ListOrder, OrderView, "Show an order.", _UNKNOWN),
    Route("/orderPayed", PayOrder, Done, "Mark an order as paid; goods are sold.", _STATUS),
    Route("/cancelOrder", CancelOrder, Done, "Cancel an order, free its goods.", _STATUS),
    Route("/stocks", ListStocks, StocksView, "Show what can be bought now of a sku."),
    Route("/receiveStock", ReceiveStock, Done, "Put goods into a warehouse.", _FULL),
)
