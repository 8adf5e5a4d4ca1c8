"""One user's cart, as pure functions.

    addToCart ──▶ checkStock … stockChecked ──▶ a line grows, or the request is declined
    purchase  ──▶ the lines leave ──▶ createOrder … orderSettled ──▶ gone for good,
                                                                     or back if it failed
    forgetCart ──▶ there is no cart, and no memory of one

No pending state for addToCart: the question carries all that its answer needs. A purchase
under way is kept until its order has settled, so that it can be said again. What the cart
has to say is in `saga`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from agents.cause import Cause
from agents.refusal import Refusal
from schemas.cart import (
    AddToCart,
    CartRequest,
    DeleteFromCart,
    EraseCart,
    OrderSettled,
    Purchase,
    StockChecked,
)
from schemas.contract import MAX_COUNT, MAX_LINES, Code
from schemas.order import Status

DEDUP_WINDOW = 256
MAX_RECORDED_REFUSALS = 32
MAX_CHECKOUTS = 16

T = TypeVar("T")
Lines = Mapping[int, int]


@dataclass(frozen=True, slots=True)
class RecordedRefusal:
    """A refusal, kept so that the same attempt hears it again."""

    code: Code
    text: str


@dataclass(frozen=True, slots=True)
class Cart:
    """State of a cart.

    Attributes:
        lines: pieces by sku.
        done: what was carried out, by request id, newest last; at most 256.
        refused: what was not, by origin, newest last; at most 32. An attempt that comes
            twice is refused twice; another attempt at the same request is judged afresh.
        checkouts: lines of the purchases under way, by request id.
    """

    lines: Lines = field(default_factory=dict)
    processed: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, RecordedRefusal] = field(default_factory=dict)
    checkouts: Mapping[str, Lines] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LineSet:
    """A line has a new total; zero takes it away."""

    sku: int
    count: int
    request_id: str
    request: str


@dataclass(frozen=True, slots=True)
class CheckedOut:
    """All lines left the cart, for an order."""

    request_id: str


@dataclass(frozen=True, slots=True)
class CheckoutEnded:
    """The order has settled; `restored` lines come back, a `refused` one never was."""

    request_id: str
    restored: bool
    refused: bool


@dataclass(frozen=True, slots=True)
class Declined:
    """An attempt was refused."""

    origin: str
    refusal: RecordedRefusal


@dataclass(frozen=True, slots=True)
class CartErased:
    """Nothing is known of this user any more."""


CartEvent = LineSet | CheckedOut | CheckoutEnded | Declined | CartErased


def identify(request: CartRequest, _: Cause) -> tuple[str, ...]:
    """Name the cart: its user."""
    return (str(request.user),)


def decide(cart: Cart | None, request: CartRequest, cause: Cause) -> list[CartEvent]:
    """Say what happens; nothing when there is nothing left to do."""
    cart = cart or Cart()
    if isinstance(request, OrderSettled):
        return _end_checkout(cart, request)
    if cause.origin in cart.refused:
        return []
    try:
        return _process(cart, request, cause)
    except Refusal as refusal:
        return [Declined(cause.origin, RecordedRefusal(refusal.code, str(refusal)))]


def evolve(cart: Cart | None, event: CartEvent) -> Cart | None:
    """Apply one event; trusts `decide`, checks nothing."""
    cart = cart or Cart()
    match event:
        case LineSet(sku, count, request_id, request):
            others = {s: n for s, n in cart.lines.items() if s != sku}
            lines = others | {sku: count} if count > 0 else others
            return replace(
                cart, lines=lines, processed=_remembered(cart, request_id, request)
            )
        case CheckedOut(request_id):
            checkouts = {**cart.checkouts, request_id: cart.lines}
            processed = _remembered(cart, request_id, "purchase")
            return replace(cart, lines={}, processed=processed, checkouts=checkouts)
        case CheckoutEnded():
            return _after_checkout(cart, event)
        case Declined(origin, refusal):
            refused = _newest({**cart.refused, origin: refusal}, MAX_RECORDED_REFUSALS)
            return replace(cart, refused=refused)
        case CartErased():
            return None


def _process(cart: Cart, request: CartRequest, cause: Cause) -> list[CartEvent]:
    under_way = cause.request_id in cart.checkouts  # though forgotten by `done`
    known = "purchase" if under_way else cart.processed.get(cause.request_id)
    if known is not None and known != request_fingerprint(request):
        raise Refusal(Code.KEY_REUSED, f"this idempotency key was used for: {known}")
    if known is not None:
        return []
    match request:
        case AddToCart():
            _require_capacity(cart, request)
        case StockChecked():
            return [_add(cart, request, cause)]
        case DeleteFromCart(sku=sku):
            left = cart.lines.get(sku, 0) - request.count
            return [
                LineSet(sku, max(left, 0), cause.request_id, request_fingerprint(request))
            ]
        case Purchase():
            _require_purchasable(cart)
            return [CheckedOut(cause.request_id)]
        case EraseCart():
            _require_no_checkout(cart)
            return [CartErased()]
        case _:
            pass
    return []


def request_fingerprint(request: CartRequest) -> str:
    """Return the request in words: a key may come again with the same one only."""
    match request:
        case AddToCart() | StockChecked():
            return f"addToCart {request.sku} {request.count}"
        case DeleteFromCart():
            return f"deleteFromCart {request.sku} {request.count}"
        case Purchase():
            return "purchase"
        case _:
            return request.type


def _require_capacity(cart: Cart, request: AddToCart | StockChecked) -> int:
    """Return the line's new total, if a cart may have it."""
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
    return LineSet(checked.sku, total, cause.request_id, request_fingerprint(checked))


def _require_purchasable(cart: Cart) -> None:
    if not cart.lines:
        raise Refusal(Code.CART_EMPTY, "the cart is empty")
    if len(cart.lines) > MAX_LINES:  # a failed purchase's lines came back beside others
        text = f"an order has at most {MAX_LINES} lines, and the cart {len(cart.lines)}"
        raise Refusal(Code.CART_FULL, text)
    if len(cart.checkouts) >= MAX_CHECKOUTS:
        raise Refusal(Code.UNAVAILABLE, "too many purchases of this cart are under way")


def _require_no_checkout(cart: Cart) -> None:
    """Its order would be there only after whoever forgets has looked for orders."""
    if cart.checkouts:
        raise Refusal(Code.WRONG_STATUS, "a purchase of this cart is under way")


def _end_checkout(cart: Cart, settled: OrderSettled) -> list[CartEvent]:
    if settled.purchase not in cart.checkouts:
        return []
    refused = settled.order_id is None
    restored = refused or settled.status is Status.FAILED
    return [CheckoutEnded(settled.purchase, restored=restored, refused=refused)]


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
