"""The life of one order, as pure functions.

    new ──every line reserved──▶ awaiting payment ──orderPayed──▶ paid
     │                              │
     ├─any line can't be──▶ failed  ├─cancelOrder──▶ cancelled
     └─cancelOrder──▶ cancelled     └─ten minutes──▶ cancelled

    An order that is over ──forgetOrder──▶ is nobody's, and answers nobody any more

No clock but the records' own timestamps. What the order has to say is in `saga`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from agents.cause import Cause
from agents.refusal import Refusal
from schemas.contract import SHARDS, Code
from schemas.order import (
    AnonymizeOrder,
    CancelOrder,
    CreateOrder,
    ExpireOrder,
    ListOrder,
    OrderRequest,
    PayOrder,
    Status,
    StockReserved,
    order_id,
)

OPEN = (Status.NEW, Status.AWAITING_PAYMENT)
"""The others are final."""


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A status the order took: when, and by which attempt."""

    status: Status
    at: datetime
    origin: str


@dataclass(frozen=True, slots=True)
class Order:
    """State of an order.

    Attributes:
        user: whose it is; the shard, which the id tells anyway, if that is forgotten.
        request_id: of the createOrder that it is; tells two of the same id apart. Empty if
            the order is nobody's any more.
        lines: pieces by sku.
        steps: the statuses it took, oldest first; the last one is where it stands.
        answers: by sku, whether stock reserved the line.
        closed_by: the sku whose answer was the last one.
        done: what was carried out, by request id (of requests with a key).
    """

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
        """Whether whose it was has been erased."""
        return not self.request_id

    @property
    def status(self) -> Status:
        """Where it stands."""
        return self.history[-1].status

    @property
    def since(self) -> datetime:
        """When it came to stand there."""
        return self.history[-1].at


@dataclass(frozen=True, slots=True)
class Created:
    """An order began; nothing is reserved yet."""

    order: Order


@dataclass(frozen=True, slots=True)
class LineAnswered:
    """Stock answered for one line."""

    sku: int
    reserved: bool
    last: bool


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """The order took a status; `done` names the request with a key that asked for it."""

    change: StatusChange
    processed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Anonymized:
    """Whose order it was is known no more; what was bought still is, for the books."""


OrderEvent = Created | LineAnswered | StatusChanged | Anonymized


def identify(request: OrderRequest, cause: Cause) -> tuple[str, ...]:
    """Name the order; a new one is named after its user and request."""
    match request:
        case CreateOrder(user=user):
            return (str(order_id(user, cause.request_id)),)
        case _:
            return (str(request.order_id),)


def decide(order: Order | None, request: OrderRequest, cause: Cause) -> list[OrderEvent]:
    """Say what happens; nothing when there is nothing left to do.

    Raises:
        Refusal: UNKNOWN_ORDER, WRONG_STATUS, KEY_REUSED.
    """
    if isinstance(request, CreateOrder):
        return [] if order else [Created(_new(request, cause))]
    order_ = require_order(order, request)
    match request:
        case ListOrder():
            return []
        case StockReserved():
            return _record_answer(order_, request, cause)
        case PayOrder() | CancelOrder():
            return _close(order_, request, cause)
        case AnonymizeOrder():
            return _anonymize(order_)
        case ExpireOrder():
            return _expire(order_, request, cause)


def evolve(order: Order | None, event: OrderEvent) -> Order:
    """Apply one event; trusts `decide`, checks nothing."""
    if isinstance(event, Created):
        return event.order
    if order is None:
        raise TypeError(f"{event} has no order")
    match event:
        case LineAnswered(sku, reserved, last):
            answers = {**order.answers, sku: reserved}
            return replace(order, answers=answers, last_answer=sku if last else None)
        case StatusChanged(step, done):
            return replace(
                order, history=(*order.history, step), processed={**order.processed, **done}
            )
        case Anonymized():
            return _without_owner(order)


def require_order(order: Order | None, request: OrderRequest) -> Order:
    """Return the order that a request is about.

    Raises:
        Refusal: UNKNOWN_ORDER.
    """
    by_client = isinstance(request, ListOrder | PayOrder | CancelOrder)
    if order is None or (order.anonymized and by_client):
        name = "" if isinstance(request, CreateOrder) else f" {request.order_id}"
        raise Refusal(Code.UNKNOWN_ORDER, f"there is no order{name}")
    return order


def _new(request: CreateOrder, cause: Cause) -> Order:
    return Order(
        order_id=order_id(request.user, cause.request_id),
        user=request.user,
        request_id=cause.request_id,
        lines={item.sku: item.count for item in request.items},
        history=(StatusChange(Status.NEW, cause.timestamp, cause.origin),),
    )


def _status_changed(status: Status, cause: Cause) -> StatusChanged:
    return StatusChanged(StatusChange(status, cause.timestamp, cause.origin))


def _record_answer(order: Order, answer: StockReserved, cause: Cause) -> list[OrderEvent]:
    """Note one answer of stock; the last one settles the order."""
    if answer.sku in order.answers or answer.sku not in order.lines:
        return []
    last = len(order.answers) + 1 == len(order.lines)
    noted = LineAnswered(answer.sku, answer.reserved, last)
    if not last or order.status is not Status.NEW:
        return [noted]
    reserved = answer.reserved and all(order.answers.values())
    end = Status.AWAITING_PAYMENT if reserved else Status.FAILED
    return [noted, _status_changed(end, cause)]


def _close(order: Order, request: PayOrder | CancelOrder, cause: Cause) -> list[OrderEvent]:
    """Go to a final status; arriving twice is no offence."""
    to = Status.PAID if isinstance(request, PayOrder) else Status.CANCELLED
    used = order.processed.get(cause.request_id)
    if used is not None and used != request.type:
        raise Refusal(Code.KEY_REUSED, f"this idempotency key was used for: {used}")
    if order.status is to:
        return []
    open_to_all = order.status is Status.AWAITING_PAYMENT
    if not open_to_all and (order.status is not Status.NEW or to is Status.PAID):
        raise Refusal(Code.WRONG_STATUS, f"order {order.order_id} is {order.status}")
    done = {cause.request_id: request.type} if cause.idempotency_key is not None else {}
    return [StatusChanged(StatusChange(to, cause.timestamp, cause.origin), done)]


def _expire(order: Order, request: ExpireOrder, cause: Cause) -> list[OrderEvent]:
    """Cancel an order that nobody paid in time, by the clock of the records."""
    due = order.since + timedelta(seconds=request.unpaid_seconds)
    if order.status is not Status.AWAITING_PAYMENT or cause.timestamp < due:
        return []
    return [_status_changed(Status.CANCELLED, cause)]


def _anonymize(order: Order) -> list[OrderEvent]:
    """Forget whose order it was, unless something is still to come of it."""
    if order.anonymized:
        return []
    if order.status in OPEN or order.last_answer is None:
        text = f"order {order.order_id} is {order.status}, and not over yet"
        raise Refusal(Code.WRONG_STATUS, text)
    return [Anonymized()]


def _without_owner(order: Order) -> Order:
    """Erase also what leads to its owner: names of requests, and records of the log."""
    return replace(
        order,
        user=order.order_id % SHARDS,
        request_id="",
        history=tuple(replace(step, origin="") for step in order.history),
        processed={},
    )
