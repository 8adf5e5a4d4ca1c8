"""The calls of the HTTP interface, as a table."""

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
    """A call: a POST of the request to the path returns the reply or a problem."""

    path: str
    request: type[Contract]
    reply: type[Contract]
    errors: tuple[Code, ...] = ()
    """The codes of this call, in addition to those of all calls."""

    @cached_property
    def request_decoder(self) -> Decoder:
        """Decodes bodies; built once, since that takes far longer than a decoding."""
        return Decoder(self.request)

    @cached_property
    def reply_adapter(self) -> TypeAdapter[Any]:
        """Decodes the reply or the refusal of this call."""
        union: Any = self.reply | Refused
        return TypeAdapter(Annotated[union, Field(discriminator="type")])


_CART = (Code.INSUFFICIENT_STOCK, Code.CART_FULL, Code.COUNT_TOO_LARGE)
_PRICES = (Code.UNKNOWN_PRODUCT, Code.PRODUCT_SERVICE, Code.TOTAL_TOO_LARGE)
_BUYING = (Code.CART_EMPTY, Code.CART_FULL)  # full: lines of failed purchases return
_STATUS = (Code.UNKNOWN_ORDER, Code.WRONG_STATUS)

ROUTES = (
    Route("/addToCart", AddToCart, Done, _CART),
    Route("/deleteFromCart", DeleteFromCart, Done),
    Route("/listCart", ListCart, CartView, _PRICES),
    Route("/purchase", Purchase, OrderPlaced, _BUYING),
    Route("/purchases", Purchase, OrderPlaced, _BUYING),
    Route("/createOrder", CreateOrder, OrderPlaced),
    Route("/listOrder", ListOrder, OrderView, (Code.UNKNOWN_ORDER,)),
    Route("/orderPayed", PayOrder, Done, _STATUS),
    Route("/cancelOrder", CancelOrder, Done, _STATUS),
    Route("/stocks", ListStocks, StocksView),
    Route("/receiveStock", ReceiveStock, Done, (Code.COUNT_TOO_LARGE,)),
)
