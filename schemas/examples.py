"""A walkthrough of a shop with sample stock: the examples of every document.

In a new shop each request, sent in this order, has exactly this reply. The ids of the
orders follow from the idempotency keys.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.cart import (
    AddToCart,
    CartView,
    DeleteFromCart,
    ListCart,
    PricedItem,
    Purchase,
)
from schemas.contract import Code, Contract, Done, Item, Refused
from schemas.ids import order_id, purchase_id
from schemas.order import (
    CancelOrder,
    CreateOrder,
    ListOrder,
    OrderPlaced,
    OrderStatusChanged,
    OrderView,
    PayOrder,
    Status,
)
from schemas.stock import ListStocks, ReceiveStock, Stock, StocksView


@dataclass(frozen=True, slots=True)
class Example:
    """A request and its reply.

    Attributes:
        idempotency_key: the idempotency key of the request, if any.
    """

    request: Contract
    reply: Contract
    idempotency_key: str | None = None


_USER = 42
_BOOK, _COOKBOOK, _HEADPHONES = 1076963, 1148162, 1625903
_BOUGHT, _ORDERED = "example-purchase", "example-order"
_FROM_CART = order_id(_USER, purchase_id(f"key:{_BOUGHT}"))
_DIRECT = order_id(_USER, f"key:{_ORDERED}")
_ITEMS = (Item(sku=_COOKBOOK, count=1),)

_WALKTHROUGH = (
    Example(AddToCart(user=_USER, sku=_BOOK, count=2), Done()),
    Example(DeleteFromCart(user=_USER, sku=_BOOK, count=1), Done()),
    Example(
        ListCart(user=_USER),
        CartView(
            items=(
                PricedItem(
                    sku=_BOOK, count=1, name="Теория нравственных чувств", price=2202
                ),
            ),
            total_price=2202,
        ),
    ),
    Example(Purchase(user=_USER), OrderPlaced(order_id=_FROM_CART), _BOUGHT),
    Example(CreateOrder(user=_USER, items=_ITEMS), OrderPlaced(order_id=_DIRECT), _ORDERED),
    Example(
        ListOrder(order_id=_DIRECT),
        OrderView(status=Status.AWAITING_PAYMENT, user=_USER, items=_ITEMS),
    ),
    Example(PayOrder(order_id=_DIRECT), Done()),
    Example(CancelOrder(order_id=_FROM_CART), Done()),
    Example(
        ListStocks(sku=_BOOK),
        StocksView(
            stocks=(Stock(warehouse_id=7, count=45), Stock(warehouse_id=10, count=70))
        ),
    ),
    Example(ReceiveStock(sku=_HEADPHONES, warehouse_id=7, count=5), Done()),
)

EXAMPLES: dict[type[Contract], Example] = {
    type(example.request): example for example in _WALKTHROUGH
}

_OTHERS = (
    Refused(code=Code.CART_EMPTY, text="the cart is empty"),
    OrderStatusChanged(
        order_id=_DIRECT,
        user=_USER,
        status=Status.PAID,
        items=_ITEMS,
        at=datetime(2026, 11, 26, 12, 0, tzinfo=UTC),
    ),
)


def examples_of(contract: type[Contract]) -> list[Contract]:
    """Return the example messages of a class, without repeats."""
    calls = (message for call in _WALKTHROUGH for message in (call.request, call.reply))
    messages = dict.fromkeys((*calls, *_OTHERS))
    return [message for message in messages if type(message) is contract]
