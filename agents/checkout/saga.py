"""What a cart has to say: the next question, or the reply.

All of it follows from the cart's state and the record alone, so that a record that comes
again says again what it said before.
"""

from collections.abc import Iterator

from agents.cause import Cause, ForPurchase, purchase_id
from agents.checkout.cart import Cart, Lines, request_fingerprint
from schemas.cart import (
    AddToCart,
    CartRequest,
    CartView,
    EraseCart,
    ListCart,
    OrderSettled,
    Purchase,
)
from schemas.contract import Code, Contract, Done, Item, Refused
from schemas.order import CreateOrder, OrderPlaced, order_id
from schemas.product import PriceCart
from schemas.stock import CheckStock


def follow_up(
    cart: Cart | None, request: CartRequest, cause: Cause
) -> Iterator[Contract | ForPurchase]:
    """Say all that must be said now: the next question, or the reply."""
    cart = cart or Cart()
    if isinstance(request, OrderSettled):
        yield _purchase_reply(request)
    elif refusal := cart.refused.get(cause.origin):
        yield Refused(code=refusal.code, text=refusal.text)
    elif lines := cart.checkouts.get(cause.request_id):
        order = CreateOrder(user=request.user, items=_items(lines))
        yield ForPurchase(order, cause.request_id)
    else:
        yield _reply(cart, request, cause)


def _reply(cart: Cart, request: CartRequest, cause: Cause) -> Contract:
    processed = cart.processed.get(cause.request_id)
    match request:
        case ListCart(user=user):
            return _view(user, cart.lines)
        case AddToCart(user=user, sku=sku, count=count) if processed is None:
            return CheckStock(sku=sku, user=user, count=count)
        case _ if processed != request_fingerprint(request) and not isinstance(
            request, EraseCart
        ):
            return Refused(code=Code.UNAVAILABLE, text="not done; ask again")
        case Purchase(user=user):
            order = order_id(user, purchase_id(cause.request_id))
            return OrderPlaced(order_id=order)
        case _:
            return Done()


def _view(user: int, lines: Lines) -> Contract:
    if not lines:
        return CartView(items=(), total_price=0)
    return PriceCart(user=user, items=_items(lines))


def _purchase_reply(settled: OrderSettled) -> Contract:
    if settled.order_id is None:
        return Refused(code=Code.UNAVAILABLE, text="the order was not taken; ask again")
    return OrderPlaced(order_id=settled.order_id)


def _items(lines: Lines) -> tuple[Item, ...]:
    return tuple(Item(sku=sku, count=count) for sku, count in sorted(lines.items()))
