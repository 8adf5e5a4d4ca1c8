"""One order, as pure functions.

    new ──every line reserved──▶ awaiting payment ──orderPayed──▶ paid
     │                              │
     ├─any line refused──▶ failed   ├─cancelOrder──▶ cancelled
     └─cancelOrder──▶ cancelled     └─ten minutes──▶ cancelled

    A final order ──forgetOrder──▶ has no user, and answers no client
    An order that is over ──deleteOrder, days later──▶ is no order any more

The only clock is the records' own timestamps. Follow-ups derive from the state and the
record alone: a redelivered record sends the same messages again, so any worker can resume
an order. Only the record that caused a status sends what follows from that status.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import ClassVar

from msgspec import Struct, field
from msgspec.structs import replace

from agents.aggregate import Cause, Refusal
from agents.row_serde import TableRow
from schemas.cart import OrderSettled
from schemas.contract import DONE, Code, Contract, Refused, items_of, shard
from schemas.order import (
    AnonymizeOrder,
    CancelOrder,
    CreateOrder,
    DeleteOrder,
    ExpireOrder,
    ListOrder,
    OrderPlaced,
    OrderRequest,
    OrderStatusChanged,
    OrderView,
    PayOrder,
    Status,
    StockReserved,
    order_id,
    purchase_id,
)
from schemas.stock import Release, Reserve, Sell
from topics.kafka.headers import PURCHASE

OPEN: tuple[Status, ...] = (Status.NEW, Status.AWAITING_PAYMENT)
"""All other statuses are final."""


_Internal = StockReserved | ExpireOrder | DeleteOrder
"""Messages of the shop itself. A deleted order ignores them: a refusal of a late answer of
stock would reach the client of the createOrder."""


class StatusChange(TableRow, frozen=True):
    """A status of the order: since when, and by which attempt."""

    old_names: ClassVar[Mapping[str, str]] = {"by": "origin"}

    status: Status
    at: datetime
    origin: str


class Order(TableRow, frozen=True):
    """State of an order.

    Attributes:
        user: the buyer; of an anonymized order the shard, which the id reveals anyway.
        request_id: of its createOrder; distinguishes two requests with the same id. Empty
            once the order is anonymized.
        lines: units by sku.
        history: the statuses, oldest first; the last one is current.
        answers: by sku, whether stock reserved the line.
        last_answer: the sku of the answer that came last.
        processed: processed requests by request id (of requests with a key).
    """

    old_names: ClassVar[Mapping[str, str]] = {
        "steps": "history",
        "closed_by": "last_answer",
        "done": "processed",
    }

    order_id: int
    user: int
    request_id: str
    lines: Mapping[int, int]
    history: tuple[StatusChange, ...]
    answers: Mapping[int, bool] = field(default_factory=dict)
    last_answer: int | None = None
    processed: Mapping[str, str] = field(default_factory=dict)

    @property
    def anonymized(self) -> bool:
        """Whether the buyer has been erased."""
        return not self.request_id

    @property
    def status(self) -> Status:
        """The current status."""
        return self.history[-1].status

    @property
    def is_over(self) -> bool:
        """Whether its status is final, and stock has answered for every line."""
        return self.status not in OPEN and self.last_answer is not None

    def is_deletable(self, at: datetime, days: int) -> bool:
        """Return whether the order is over, and its last status so many days old."""
        return self.is_over and at - self.history[-1].at >= timedelta(days=days)


class Created(Struct, frozen=True):
    """An order began; nothing is reserved yet."""

    order: Order


class LineAnswered(Struct, frozen=True):
    """Stock answered for one line."""

    sku: int
    reserved: bool
    last: bool


class StatusChanged(Struct, frozen=True):
    """The order took a status; `processed` records the request, if it had a key."""

    change: StatusChange
    processed: Mapping[str, str] = field(default_factory=dict)


class Anonymized(Struct, frozen=True):
    """The buyer is erased; the lines stay for the books."""


class Deleted(Struct, frozen=True):
    """The order ends its life, and with it the memory of its idempotency keys."""


OrderEvent = Created | LineAnswered | StatusChanged | Anonymized | Deleted


def identify(request: OrderRequest, cause: Cause) -> tuple[str, ...]:
    """Return the row key: the order id, which a new order derives from its request."""
    if isinstance(request, CreateOrder):
        return (str(order_id(request.user, _request_id(cause))),)
    return (str(request.order_id),)


def decide(order: Order | None, request: OrderRequest, cause: Cause) -> list[OrderEvent]:
    """Return the events of a request; none when nothing is left to do.

    Raises:
        Refusal: UNKNOWN_ORDER, WRONG_STATUS, KEY_REUSED.
    """
    if isinstance(request, CreateOrder):
        return [] if order else [Created(_new(request, cause))]
    if isinstance(request, _Internal):
        return _decide_internal(order, request, cause) if order else []
    order = require_order(order, request)
    match request:
        case ListOrder():
            return []
        case PayOrder() | CancelOrder():
            return _close(order, request, cause)
        case AnonymizeOrder():
            return _anonymize(order)


def evolve(order: Order | None, event: OrderEvent) -> Order | None:
    """Apply one event of `decide`, without checks."""
    if isinstance(event, Created):
        return event.order
    if order is None:
        raise TypeError(f"{event} without an order")
    match event:
        case LineAnswered(sku, reserved, last):
            answers = {**order.answers, sku: reserved}
            return replace(order, answers=answers, last_answer=sku if last else None)
        case StatusChanged(change, processed):
            return replace(
                order,
                history=(*order.history, change),
                processed={**order.processed, **processed},
            )
        case Anonymized():  # request ids and record locations lead to the buyer, too
            return replace(
                order,
                user=shard(order.order_id),
                request_id="",
                history=tuple(replace(change, origin="") for change in order.history),
                processed={},
            )
        case Deleted():
            return None


def follow_up(
    order: Order | None, request: OrderRequest, cause: Cause
) -> Iterator[Contract]:
    """Return commands to stock, events and the reply, from the state after."""
    if order is None and isinstance(request, _Internal):
        return
    order = require_order(order, request)
    match request:
        case ListOrder():
            yield OrderView(
                status=order.status, user=order.user, items=items_of(order.lines)
            )
        case CreateOrder():
            yield from _after_create(order, request, cause)
        case StockReserved():
            yield from _after_answer(order, request, cause)
        case PayOrder():
            yield from _after(order, cause, Status.PAID)
            yield _closing_reply(order, Status.PAID)
        case CancelOrder():
            yield from _after(order, cause, Status.CANCELLED)
            yield _closing_reply(order, Status.CANCELLED)
        case ExpireOrder():
            yield from _after(order, cause, Status.CANCELLED)
        case AnonymizeOrder():
            yield DONE
        case DeleteOrder():
            return


def require_order(order: Order | None, request: OrderRequest) -> Order:
    """Return the order of a request.

    Raises:
        Refusal: UNKNOWN_ORDER, also for a client's request to an anonymized order.
    """
    from_client = isinstance(request, ListOrder | PayOrder | CancelOrder)
    if order is None or (order.anonymized and from_client):
        name = "" if isinstance(request, CreateOrder) else f" {request.order_id}"
        raise Refusal(Code.UNKNOWN_ORDER, f"there is no order{name}")
    return order


def _request_id(cause: Cause) -> str:
    """Return the request id of a createOrder, of a client or of a purchase."""
    purchase = cause.headers.get(PURCHASE)
    return cause.request_id if purchase is None else purchase_id(purchase)


def _new(request: CreateOrder, cause: Cause) -> Order:
    return Order(
        order_id=order_id(request.user, _request_id(cause)),
        user=request.user,
        request_id=_request_id(cause),
        lines={item.sku: item.count for item in request.items},
        history=(_change(Status.NEW, cause),),
    )


def _change(status: Status, cause: Cause) -> StatusChange:
    return StatusChange(status, cause.timestamp, cause.origin)


def _decide_internal(order: Order, message: _Internal, cause: Cause) -> list[OrderEvent]:
    match message:
        case StockReserved():
            return _record_answer(order, message, cause)
        case ExpireOrder():
            return _expire(order, message, cause)
        case DeleteOrder(retention_days=days):
            return [Deleted()] if order.is_deletable(cause.timestamp, days) else []


def _record_answer(order: Order, answer: StockReserved, cause: Cause) -> list[OrderEvent]:
    if answer.sku in order.answers or answer.sku not in order.lines:
        return []
    last = len(order.answers) + 1 == len(order.lines)
    answered = LineAnswered(answer.sku, answer.reserved, last)
    if not last or order.status is not Status.NEW:
        return [answered]
    reserved = answer.reserved and all(order.answers.values())
    end = Status.AWAITING_PAYMENT if reserved else Status.FAILED
    return [answered, StatusChanged(_change(end, cause))]


def _close(order: Order, request: PayOrder | CancelOrder, cause: Cause) -> list[OrderEvent]:
    to, allowed = Status.CANCELLED, OPEN
    if isinstance(request, PayOrder):
        to, allowed = Status.PAID, (Status.AWAITING_PAYMENT,)
    used = order.processed.get(cause.request_id)
    if used is not None and used != request.type:
        raise Refusal(Code.KEY_REUSED, f"this idempotency key was used for: {used}")
    if order.status is to:
        return []
    if order.status not in allowed:
        raise Refusal(Code.WRONG_STATUS, f"order {order.order_id} is {order.status}")
    processed = {cause.request_id: request.type} if cause.idempotency_key else {}
    return [StatusChanged(_change(to, cause), processed)]


def _expire(order: Order, request: ExpireOrder, cause: Cause) -> list[OrderEvent]:
    due = order.history[-1].at + timedelta(seconds=request.unpaid_seconds)
    if order.status is not Status.AWAITING_PAYMENT or cause.timestamp < due:
        return []
    return [StatusChanged(_change(Status.CANCELLED, cause))]


def _anonymize(order: Order) -> list[OrderEvent]:
    if order.anonymized:
        return []
    if not order.is_over:
        text = f"order {order.order_id} is {order.status}, and not over yet"
        raise Refusal(Code.WRONG_STATUS, text)
    return [Anonymized()]


def _after_create(order: Order, request: CreateOrder, cause: Cause) -> Iterator[Contract]:
    if conflict := _conflict(order, request, cause):
        from_cart = PURCHASE in cause.headers
        yield _to_cart(request.user, cause, None) if from_cart else conflict
        return
    yield from _after(order, cause, Status.NEW)
    if order.status is not Status.NEW:
        yield _placement_reply(order, cause)
        return
    at = order.history[0].at
    for sku, count in order.lines.items():
        yield Reserve(sku=sku, order_id=order.order_id, count=count, at=at)


def _after_answer(order: Order, answer: StockReserved, cause: Cause) -> Iterator[Contract]:
    if answer.sku == order.last_answer:
        yield from _after(order, cause, Status.AWAITING_PAYMENT, Status.FAILED)
        yield _placement_reply(order, cause)


def _conflict(order: Order, request: CreateOrder, cause: Cause) -> Refused | None:
    if order.user != request.user or order.request_id != _request_id(cause):
        text = f"order {order.order_id} exists for another request; use another key"
        return Refused(code=Code.UNAVAILABLE, text=text)
    if order.lines != {item.sku: item.count for item in request.items}:
        text = "this idempotency key was used for an order of other items"
        return Refused(code=Code.KEY_REUSED, text=text)
    return None


def _after(order: Order, cause: Cause, *statuses: Status) -> Iterator[Contract]:
    """Yield commands and event of each of these statuses, if this origin caused it."""
    for change in order.history:
        if change.status in statuses and change.origin == cause.origin:
            yield from _closing_commands(order, change.status)
            yield OrderStatusChanged(
                order_id=order.order_id,
                user=order.user,
                status=change.status,
                items=items_of(order.lines),
                at=change.at,
            )


def _closing_commands(order: Order, status: Status) -> Iterable[Contract]:
    match status:
        case Status.NEW | Status.AWAITING_PAYMENT:
            return ()
        case Status.PAID:
            return (Sell(sku=sku, order_id=order.order_id) for sku in order.lines)
        case Status.CANCELLED:
            return _release(order, order.lines)
        case Status.FAILED:
            return _release(order, (sku for sku, yes in order.answers.items() if yes))


def _release(order: Order, skus: Iterable[int]) -> Iterator[Contract]:
    return (Release(sku=sku, order_id=order.order_id) for sku in skus)


def _closing_reply(order: Order, to: Status) -> Contract:
    text = f"order {order.order_id} is {order.status}"
    return DONE if order.status is to else Refused(code=Code.WRONG_STATUS, text=text)


def _placement_reply(order: Order, cause: Cause) -> Contract:
    """Return the reply to createOrder; the cart itself replies to a purchase.

    An anonymized order has no cart to notify: its shard is another user's number.
    """
    if PURCHASE in cause.headers and not order.anonymized:
        return _to_cart(order.user, cause, order)
    return OrderPlaced(order_id=order.order_id)


def _to_cart(user: int, cause: Cause, order: Order | None) -> OrderSettled:
    return OrderSettled(
        user=user,
        purchase=cause.headers.get(PURCHASE, ""),
        order_id=order.order_id if order else None,
        status=order.status if order else None,
    )
