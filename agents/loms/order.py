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

from agents.refusal import Refusal
from schemas.cause import Cause
from schemas.contract import SHARDS, Code
from schemas.order import (
    CancelOrder,
    CreateOrder,
    ExpireOrder,
    ForgetOrder,
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
class Step:
    """A status the order took: when, and by which attempt."""

    status: Status
    at: datetime
    by: str


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
    steps: tuple[Step, ...]
    answers: Mapping[int, bool] = field(default_factory=dict)
    closed_by: int | None = None
    done: Mapping[str, str] = field(default_factory=dict)

    @property
    def forgotten(self) -> bool:
        """Whether whose it was has been erased."""
        return not self.request_id

    @property
    def status(self) -> Status:
        """Where it stands."""
        return self.steps[-1].status

    @property
    def since(self) -> datetime:
        """When it came to stand there."""
        return self.steps[-1].at


@dataclass(frozen=True, slots=True)
class Created:
    """An order began; nothing is reserved yet."""

    order: Order


@dataclass(frozen=True, slots=True)
class Answered:
    """Stock answered for one line."""

    sku: int
    reserved: bool
    last: bool


@dataclass(frozen=True, slots=True)
class Stepped:
    """The order took a status; `done` names the request with a key that asked for it."""

    step: Step
    done: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Whose order it was is known no more; what was bought still is, for the books."""


OrderEvent = Created | Answered | Stepped | Forgotten


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
    there = known(order, request)
    match request:
        case ListOrder():
            return []
        case StockReserved():
            return _collect(there, request, cause)
        case PayOrder() | CancelOrder():
            return _leave(there, request, cause)
        case ForgetOrder():
            return _forget(there)
        case ExpireOrder():
            return _expire(there, request, cause)


def evolve(order: Order | None, event: OrderEvent) -> Order:
    """Apply one event; trusts `decide`, checks nothing."""
    if isinstance(event, Created):
        return event.order
    if order is None:
        raise TypeError(f"{event} has no order")
    match event:
        case Answered(sku, reserved, last):
            answers = {**order.answers, sku: reserved}
            return replace(order, answers=answers, closed_by=sku if last else None)
        case Stepped(step, done):
            return replace(order, steps=(*order.steps, step), done={**order.done, **done})
        case Forgotten():
            return _without_owner(order)


def known(order: Order | None, request: OrderRequest) -> Order:
    """Return the order that a request is about.

    Raises:
        Refusal: UNKNOWN_ORDER.
    """
    asked = isinstance(request, ListOrder | PayOrder | CancelOrder)
    if order is None or (order.forgotten and asked):
        name = "" if isinstance(request, CreateOrder) else f" {request.order_id}"
        raise Refusal(Code.UNKNOWN_ORDER, f"there is no order{name}")
    return order


def _new(request: CreateOrder, cause: Cause) -> Order:
    return Order(
        order_id=order_id(request.user, cause.request_id),
        user=request.user,
        request_id=cause.request_id,
        lines={item.sku: item.count for item in request.items},
        steps=(Step(Status.NEW, cause.at, cause.origin),),
    )


def _step(status: Status, cause: Cause) -> Stepped:
    return Stepped(Step(status, cause.at, cause.origin))


def _collect(order: Order, answer: StockReserved, cause: Cause) -> list[OrderEvent]:
    """Note one answer of stock; the last one settles the order."""
    if answer.sku in order.answers or answer.sku not in order.lines:
        return []
    last = len(order.answers) + 1 == len(order.lines)
    noted = Answered(answer.sku, answer.reserved, last)
    if not last or order.status is not Status.NEW:
        return [noted]
    reserved = answer.reserved and all(order.answers.values())
    end = Status.AWAITING_PAYMENT if reserved else Status.FAILED
    return [noted, _step(end, cause)]


def _leave(order: Order, request: PayOrder | CancelOrder, cause: Cause) -> list[OrderEvent]:
    """Go to a final status; arriving twice is no offence."""
    to = Status.PAID if isinstance(request, PayOrder) else Status.CANCELLED
    used = order.done.get(cause.request_id)
    if used is not None and used != request.type:
        raise Refusal(Code.KEY_REUSED, f"this idempotency key was used for: {used}")
    if order.status is to:
        return []
    open_to_all = order.status is Status.AWAITING_PAYMENT
    if not open_to_all and (order.status is not Status.NEW or to is Status.PAID):
        raise Refusal(Code.WRONG_STATUS, f"order {order.order_id} is {order.status}")
    done = {cause.request_id: request.type} if cause.key is not None else {}
    return [Stepped(Step(to, cause.at, cause.origin), done)]


def _expire(order: Order, request: ExpireOrder, cause: Cause) -> list[OrderEvent]:
    """Cancel an order that nobody paid in time, by the clock of the records."""
    due = order.since + timedelta(seconds=request.unpaid_seconds)
    if order.status is not Status.AWAITING_PAYMENT or cause.at < due:
        return []
    return [_step(Status.CANCELLED, cause)]


def _forget(order: Order) -> list[OrderEvent]:
    """Forget whose order it was, unless something is still to come of it."""
    if order.forgotten:
        return []
    if order.status in OPEN or order.closed_by is None:
        text = f"order {order.order_id} is {order.status}, and not over yet"
        raise Refusal(Code.WRONG_STATUS, text)
    return [Forgotten()]


def _without_owner(order: Order) -> Order:
    """Erase also what leads to its owner: names of requests, and records of the log."""
    return replace(
        order,
        user=order.order_id % SHARDS,
        request_id="",
        steps=tuple(replace(step, by="") for step in order.steps),
        done={},
    )
