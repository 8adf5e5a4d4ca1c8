"""A walkthrough of a shop with sample stock: the examples of every document.

In a new shop each request, sent in this order, has exactly this reply. The ids of the
orders follow from the idempotency keys.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from schemas import cart, order, stock
from schemas.contract import Code, Contract, Done, Item, Refused
from schemas.order import order_id, purchase_id


@dataclass(frozen=True, slots=True)
class Example:
    """A request, its reply, and the idempotency key of the request."""

    request: Contract
    reply: Contract
    idempotency_key: str | None = None


_USER = 42
_BOOK, _COOKBOOK, _HEADPHONES = 1076963, 1148162, 1625903
_BOOK_NAME = "Теория нравственных чувств"
_BOUGHT, _ORDERED = "example-purchase", "example-order"
_FROM_CART = order_id(_USER, purchase_id(f"key:{_BOUGHT}"))
_DIRECT = order_id(_USER, f"key:{_ORDERED}")
_ITEMS = (Item(sku=_COOKBOOK, count=1),)

_WALKTHROUGH = (
    Example(cart.AddToCart(user=_USER, sku=_BOOK, count=2), Done()),
    Example(cart.DeleteFromCart(user=_USER, sku=_BOOK, count=1), Done()),
    Example(
        cart.ListCart(user=_USER),
        cart.CartView(
            items=(cart.PricedItem(sku=_BOOK, count=1, name=_BOOK_NAME, price=2202),),
            total_price=2202,
        ),
    ),
    Example(cart.Purchase(user=_USER), order.OrderPlaced(order_id=_FROM_CART), _BOUGHT),
    Example(
        order.CreateOrder(user=_USER, items=_ITEMS),
        order.OrderPlaced(order_id=_DIRECT),
        _ORDERED,
    ),
    Example(
        order.ListOrder(order_id=_DIRECT),
        order.OrderView(status=order.Status.AWAITING_PAYMENT, user=_USER, items=_ITEMS),
    ),
    Example(order.PayOrder(order_id=_DIRECT), Done()),
    Example(order.CancelOrder(order_id=_FROM_CART), Done()),
    Example(
        stock.ListStocks(sku=_BOOK),
        stock.StocksView(
            stocks=(
                stock.Stock(warehouse_id=7, count=45),
                stock.Stock(warehouse_id=10, count=70),
            )
        ),
    ),
    Example(stock.ReceiveStock(sku=_HEADPHONES, warehouse_id=7, count=5), Done()),
)
EXAMPLES = {type(example.request): example for example in _WALKTHROUGH}

_OTHERS = (
    Refused(code=Code.CART_EMPTY, text="the cart is empty"),
    order.OrderStatusChanged(
        order_id=_DIRECT,
        user=_USER,
        status=order.Status.PAID,
        items=_ITEMS,
        at=datetime(2026, 11, 26, 12, 0, tzinfo=UTC),
    ),
)


def examples_of(contract: type[Contract]) -> list[Contract]:
    """Return the example messages of a class, without repeats."""
    calls = (message for call in _WALKTHROUGH for message in (call.request, call.reply))
    messages = dict.fromkeys((*calls, *_OTHERS))
    return [message for message in messages if type(message) is contract]
