"""What an order has to say: commands to stock, facts, and the reply.

A saga as data: everything follows from the order's state and the record alone, so a
record that comes again says again what it said before, and a dead saga is resumed by
whoever reads the log next. Only the record that brought a status about says what follows
from it; the answer of stock that is in last settles the matter for whoever waits.
"""

from collections.abc import Iterable, Iterator

from agents.cause import Cause
from agents.loms.order import Order, require_order
from schemas.cart import OrderSettled
from schemas.contract import Code, Contract, Done, Item, Refused
from schemas.order import (
    AnonymizeOrder,
    CancelOrder,
    CreateOrder,
    ExpireOrder,
    ListOrder,
    OrderPlaced,
    OrderRequest,
    OrderStatusChanged,
    OrderView,
    PayOrder,
    Status,
    StockReserved,
)
from schemas.stock import Release, Reserve, Sell


def follow_up(
    order: Order | None, request: OrderRequest, cause: Cause
) -> Iterator[Contract]:
    """Say all that must be said now: commands to stock, facts, the reply."""
    order = require_order(order, request)
    match request:
        case ListOrder():
            yield OrderView(status=order.status, user=order.user, items=_items(order))
        case CreateOrder():
            yield from _after_create(order, request, cause)
        case StockReserved(sku=sku) if sku == order.last_answer:
            yield from _after_close(order, cause)
        case StockReserved():
            return
        case PayOrder():
            yield from _after_status(order, request, cause, Status.PAID)
        case CancelOrder() | ExpireOrder():
            yield from _after_status(order, request, cause, Status.CANCELLED)
        case AnonymizeOrder():
            yield Done()


def _after_create(order: Order, request: CreateOrder, cause: Cause) -> Iterator[Contract]:
    if conflict := _conflict(order, request, cause):
        yield conflict if cause.purchase is None else _to_cart(request.user, cause, None)
        return
    yield from _status_events(order, cause, Status.NEW)
    if order.status is not Status.NEW:
        yield _placement_reply(order, cause)
        return
    for sku, count in order.lines.items():
        yield Reserve(sku=sku, order_id=order.order_id, count=count)


def _conflict(order: Order, request: CreateOrder, cause: Cause) -> Refused | None:
    """Tell an order apart that has this id for another request."""
    if order.user != request.user or order.request_id != cause.request_id:
        text = f"order {order.order_id} is another one; ask again with another key"
        return Refused(code=Code.UNAVAILABLE, text=text)
    if order.lines != {item.sku: item.count for item in request.items}:
        text = "this idempotency key was used for an order of other items"
        return Refused(code=Code.KEY_REUSED, text=text)
    return None


def _after_close(order: Order, cause: Cause) -> Iterator[Contract]:
    """Settle the matter for whoever waits for this order."""
    if order.status is Status.FAILED and order.history[-1].origin == cause.origin:
        yield from _release(order, (sku for sku, yes in order.answers.items() if yes))
    yield from _status_events(order, cause, Status.AWAITING_PAYMENT, Status.FAILED)
    yield _placement_reply(order, cause)


def _after_status(
    order: Order, request: OrderRequest, cause: Cause, to: Status
) -> Iterator[Contract]:
    if order.status is to and order.history[-1].origin == cause.origin:
        if to is Status.PAID:
            yield from (Sell(sku=s, order_id=order.order_id) for s in order.lines)
        else:
            yield from _release(order, order.lines)
        yield from _status_events(order, cause, to)
    if not isinstance(request, ExpireOrder):
        text = f"order {order.order_id} is {order.status}"
        yield Done() if order.status is to else Refused(code=Code.WRONG_STATUS, text=text)


def _release(order: Order, skus: Iterable[int]) -> Iterator[Contract]:
    return (Release(sku=sku, order_id=order.order_id) for sku in skus)


def _status_events(order: Order, cause: Cause, *statuses: Status) -> Iterator[Contract]:
    """The statuses that this conversation brought about; said by nobody else."""
    for step in order.history:
        if step.status in statuses and step.origin == cause.origin:
            yield OrderStatusChanged(
                order_id=order.order_id,
                user=order.user,
                status=step.status,
                items=_items(order),
                at=step.at,
            )


def _placement_reply(order: Order, cause: Cause) -> Contract:
    """The reply to createOrder; that to a purchase goes by way of the cart.

    Whose cart it was a forgotten order does not know: that of its shard is another's.
    """
    if cause.purchase is not None and not order.anonymized:
        return _to_cart(order.user, cause, order)
    return OrderPlaced(order_id=order.order_id)


def _items(order: Order) -> tuple[Item, ...]:
    return tuple(Item(sku=sku, count=count) for sku, count in order.lines.items())


def _to_cart(user: int, cause: Cause, order: Order | None) -> OrderSettled:
    return OrderSettled(
        user=user,
        purchase=cause.purchase or "",
        order_id=order.order_id if order else None,
        status=order.status if order else None,
    )
