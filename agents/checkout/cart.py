"""One user's cart, as pure functions.

    addToCart ──▶ checkStock … stockChecked ──▶ the line grows, or a refusal
    purchase  ──▶ the lines leave ──▶ createOrder … orderSettled ──▶ deleted, or
                                                                     restored if it failed
    forgetCart ──▶ neither lines nor history
    a month without a change ──▶ an empty cart is forgotten

addToCart keeps no pending state: checkStock carries all that its answer needs. A purchase
stays in the state until its order settles, so a redelivered purchase sends it again.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import ClassVar, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from agents.aggregate import Cause, Refusal, WithHeaders
from agents.row_serde import TableRow
from schemas.cart import (
    AddToCart,
    CartRequest,
    CartView,
    DeleteFromCart,
    EraseCart,
    ListCart,
    OrderSettled,
    PriceCart,
    Purchase,
    StockChecked,
)
from schemas.contract import DONE, MAX_COUNT, MAX_LINES, Code, Contract, Refused, items_of
from schemas.order import CreateOrder, OrderPlaced, Status, order_id, purchase_id
from schemas.stock import CheckStock
from topics.kafka.headers import PURCHASE

DEDUP_WINDOW = 256
MAX_RECORDED_REFUSALS = 32
MAX_CHECKOUTS = 16

RETENTION = timedelta(days=30)
"""Of an empty cart since its last change."""

T = TypeVar("T")
Lines = Mapping[int, int]


class Cart(TableRow, frozen=True):
    """State of a cart.

    Attributes:
        lines: units by sku.
        processed: fingerprints of processed requests by request id, newest last; at
            most 256.
        refused: refusals by origin, newest last; at most 32. A redelivered attempt is
            refused again in the same words; another one is decided afresh.
        checkouts: lines of the purchases in flight, by request id.
        changed_at: when the row changed last; None in rows of older releases.
    """

    old_names: ClassVar[Mapping[str, str]] = {"done": "processed"}

    lines: Lines = field(default_factory=dict)
    processed: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, Refused] = field(default_factory=dict)
    checkouts: Mapping[str, Lines] = field(default_factory=dict)
    changed_at: datetime | None = None


class LineSet(Struct, frozen=True):
    """A line has a new total; zero removes the line."""

    sku: int
    count: int
    request_id: str
    request: str
    at: datetime


class CheckedOut(Struct, frozen=True):
    """All lines left the cart for an order."""

    request_id: str
    at: datetime


class CheckoutEnded(Struct, frozen=True):
    """The order settled: `restored` lines return; of a `refused` one nothing remains."""

    request_id: str
    restored: bool
    refused: bool
    at: datetime


class Declined(Struct, frozen=True):
    """An attempt was refused."""

    origin: str
    refusal: Refused
    at: datetime


class CartErased(Struct, frozen=True):
    """The cart and its history are gone."""


CartEvent = LineSet | CheckedOut | CheckoutEnded | Declined | CartErased


def expires(cart: Cart) -> datetime | None:
    """Return from when on a cart counts as absent; None: never."""
    if cart.lines or cart.checkouts or cart.changed_at is None:
        return None
    return cart.changed_at + RETENTION


def identify(request: CartRequest, _: Cause) -> tuple[str, ...]:
    """Return the row key: the user."""
    return (str(request.user),)


def decide(cart: Cart | None, request: CartRequest, cause: Cause) -> list[CartEvent]:
    """Return the events of a request; none when nothing is left to do."""
    cart = cart or Cart()
    if isinstance(request, OrderSettled):
        return _end_checkout(cart, request, cause)
    if cause.origin in cart.refused:
        return []
    try:
        return _process(cart, request, cause)
    except Refusal as refusal:
        return [Declined(cause.origin, refusal.reply, cause.timestamp)]


def evolve(cart: Cart | None, event: CartEvent) -> Cart | None:
    """Apply one event of `decide`, without checks."""
    if isinstance(event, CartErased):
        return None
    return replace(_changed(cart or Cart(), event), changed_at=event.at)


def _changed(cart: Cart, event: LineSet | CheckedOut | CheckoutEnded | Declined) -> Cart:
    match event:
        case LineSet(sku, count, request_id, request):
            others = {s: n for s, n in cart.lines.items() if s != sku}
            lines = others | {sku: count} if count > 0 else others
            processed = _remembered(cart, request_id, request)
            return replace(cart, lines=lines, processed=processed)
        case CheckedOut(request_id):
            checkouts = {**cart.checkouts, request_id: cart.lines}
            processed = _remembered(cart, request_id, "purchase")
            return replace(cart, lines={}, processed=processed, checkouts=checkouts)
        case CheckoutEnded():
            return _after_checkout(cart, event)
        case Declined(origin, refusal):
            refused = _newest({**cart.refused, origin: refusal}, MAX_RECORDED_REFUSALS)
            return replace(cart, refused=refused)


def follow_up(
    cart: Cart | None, request: CartRequest, cause: Cause
) -> Iterator[Contract | WithHeaders]:
    """Return the next command, or the reply, from the state after the request."""
    cart = cart or Cart()
    if isinstance(request, OrderSettled):
        yield _purchase_reply(request)
    elif refusal := cart.refused.get(cause.origin):
        yield refusal
    elif lines := cart.checkouts.get(cause.request_id):
        order = CreateOrder(user=request.user, items=items_of(lines))
        yield WithHeaders(order, {PURCHASE: cause.request_id})
    else:
        yield _reply(cart, request, cause)


def _process(
    cart: Cart,
    request: AddToCart | StockChecked | DeleteFromCart | Purchase | EraseCart | ListCart,
    cause: Cause,
) -> list[CartEvent]:
    if _is_processed(cart, request, cause):
        return []
    match request:
        case AddToCart():
            _require_capacity(cart, request)
        case StockChecked():
            return [_add(cart, request, cause)]
        case DeleteFromCart(sku=sku):
            left = cart.lines.get(sku, 0) - request.count
            return [_set(sku, max(left, 0), request, cause)]
        case Purchase():
            _require_purchasable(cart)
            return [CheckedOut(cause.request_id, cause.timestamp)]
        case EraseCart():
            if cart.checkouts:  # their orders may still be created, unseen by the eraser
                text = "a purchase of this cart is in flight"
                raise Refusal(Code.WRONG_STATUS, text)
            return [CartErased()]
        case ListCart():
            pass
    return []


def _is_processed(cart: Cart, request: CartRequest, cause: Cause) -> bool:
    in_checkout = cause.request_id in cart.checkouts  # though evicted from `processed`
    known = "purchase" if in_checkout else cart.processed.get(cause.request_id)
    if known is not None and known != request_fingerprint(request):
        raise Refusal(Code.KEY_REUSED, f"this idempotency key was used for: {known}")
    return known is not None


def request_fingerprint(request: CartRequest) -> str:
    """Return the text that a repeated idempotency key must come with again."""
    match request:
        case AddToCart() | StockChecked():
            return f"addToCart {request.sku} {request.count}"
        case DeleteFromCart():
            return f"deleteFromCart {request.sku} {request.count}"
        case Purchase():
            return "purchase"
        case ListCart() | EraseCart() | OrderSettled():
            return request.type


def _require_capacity(cart: Cart, request: AddToCart | StockChecked) -> int:
    """Return the line's new total."""
    total = cart.lines.get(request.sku, 0) + request.count
    if total > MAX_COUNT:
        raise Refusal(Code.COUNT_TOO_LARGE, f"a line can't pass {MAX_COUNT}, not {total}")
    if request.sku not in cart.lines and len(cart.lines) >= MAX_LINES:
        raise Refusal(Code.CART_FULL, f"a cart has at most {MAX_LINES} different skus")
    return total


def _add(cart: Cart, checked: StockChecked, cause: Cause) -> LineSet:
    total = _require_capacity(cart, checked)
    if total > checked.available:
        text = f"of sku {checked.sku}, {checked.available} can be bought, not {total}"
        raise Refusal(Code.INSUFFICIENT_STOCK, text)
    return _set(checked.sku, total, checked, cause)


def _set(sku: int, count: int, request: CartRequest, cause: Cause) -> LineSet:
    fingerprint = request_fingerprint(request)
    return LineSet(sku, count, cause.request_id, fingerprint, cause.timestamp)


def _require_purchasable(cart: Cart) -> None:
    if not cart.lines:
        raise Refusal(Code.CART_EMPTY, "the cart is empty")
    if len(cart.lines) > MAX_LINES:  # those of a failed purchase were added to others
        text = f"an order has at most {MAX_LINES} lines, and the cart {len(cart.lines)}"
        raise Refusal(Code.CART_FULL, text)
    if len(cart.checkouts) >= MAX_CHECKOUTS:
        raise Refusal(Code.UNAVAILABLE, "too many purchases of this cart are in flight")


def _end_checkout(cart: Cart, settled: OrderSettled, cause: Cause) -> list[CartEvent]:
    if settled.purchase not in cart.checkouts:
        return []
    refused = settled.order_id is None
    restored = refused or settled.status is Status.FAILED
    at = cause.timestamp
    return [CheckoutEnded(settled.purchase, restored=restored, refused=refused, at=at)]


def _after_checkout(cart: Cart, ended: CheckoutEnded) -> Cart:
    checkouts = dict(cart.checkouts)
    bought = checkouts.pop(ended.request_id)
    lines = dict(cart.lines)
    for sku, count in bought.items() if ended.restored else ():
        lines[sku] = min(lines.get(sku, 0) + count, MAX_COUNT)
    processed = dict(cart.processed)
    if ended.refused:
        processed.pop(ended.request_id, None)
    return replace(cart, lines=lines, checkouts=checkouts, processed=processed)


def _remembered(cart: Cart, request_id: str, request: str) -> Mapping[str, str]:
    return _newest({**cart.processed, request_id: request}, DEDUP_WINDOW)


def _newest(entries: dict[str, T], most: int) -> dict[str, T]:
    for _ in range(len(entries) - most):
        del entries[next(iter(entries))]
    return entries


def _reply(cart: Cart, request: CartRequest, cause: Cause) -> Contract:
    processed = cart.processed.get(cause.request_id)
    match request:
        case ListCart(user=user):
            items = items_of(cart.lines)
            priced = PriceCart(user=user, items=items) if items else None
            return priced or CartView(items=(), total_price=0)
        case AddToCart(user=user, sku=sku, count=count) if processed is None:
            return CheckStock(sku=sku, user=user, count=count)
        case EraseCart():
            return DONE
        case _ if processed != request_fingerprint(request):
            return Refused(code=Code.UNAVAILABLE, text="not processed; send it again")
        case Purchase(user=user):
            return OrderPlaced(order_id=order_id(user, purchase_id(cause.request_id)))
        case AddToCart() | StockChecked() | DeleteFromCart() | OrderSettled():
            return DONE


def _purchase_reply(settled: OrderSettled) -> Contract:
    if settled.order_id is None:
        return Refused(code=Code.UNAVAILABLE, text="the order was refused; send it again")
    return OrderPlaced(order_id=settled.order_id)
