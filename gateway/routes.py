"""The calls of the HTTP interface, as a table."""

from typing import NamedTuple

from gateway.tokens import Role
from schemas.cart import AddToCart, CartView, DeleteFromCart, ListCart, Purchase
from schemas.contract import Code, Contract, Done
from schemas.order import (
    CancelOrder,
    CreateOrder,
    ListOrder,
    OrderPlaced,
    OrderView,
    PayOrder,
)
from schemas.stock import ListStocks, ReceiveStock, StocksView


class Route(NamedTuple):
    """A call: a POST of the request to the path returns the reply or a problem."""

    path: str
    request: type[Contract]
    reply: type[Contract]
    roles: frozenset[Role] = frozenset()
    """The roles that may make the call, in addition to operators."""
    errors: tuple[Code, ...] = ()
    """The codes of this call, in addition to those of all calls."""


_CUSTOMER = frozenset({Role.CUSTOMER})
_PAYMENTS = frozenset({Role.PAYMENTS})

_CART = (Code.INSUFFICIENT_STOCK, Code.CART_FULL, Code.COUNT_TOO_LARGE)
_PRICES = (Code.UNKNOWN_PRODUCT, Code.PRODUCT_SERVICE, Code.TOTAL_TOO_LARGE)
_BUYING = (Code.CART_EMPTY, Code.CART_FULL)  # full: lines of failed purchases return
_UNKNOWN = (Code.UNKNOWN_ORDER,)
_STATUS = (Code.UNKNOWN_ORDER, Code.WRONG_STATUS)
_FULL = (Code.COUNT_TOO_LARGE,)

ROUTES = (
    Route("/addToCart", AddToCart, Done, _CUSTOMER, _CART),
    Route("/deleteFromCart", DeleteFromCart, Done, _CUSTOMER),
    Route("/listCart", ListCart, CartView, _CUSTOMER, _PRICES),
    Route("/purchase", Purchase, OrderPlaced, _CUSTOMER, _BUYING),
    Route("/purchases", Purchase, OrderPlaced, _CUSTOMER, _BUYING),
    Route("/createOrder", CreateOrder, OrderPlaced, _CUSTOMER),
    Route("/listOrder", ListOrder, OrderView, _CUSTOMER | _PAYMENTS, _UNKNOWN),
    Route("/orderPayed", PayOrder, Done, _PAYMENTS, _STATUS),
    Route("/cancelOrder", CancelOrder, Done, _CUSTOMER, _STATUS),
    Route("/stocks", ListStocks, StocksView, _CUSTOMER),
    Route("/receiveStock", ReceiveStock, Done, errors=_FULL),
)
