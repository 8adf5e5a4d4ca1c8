"""Invariants of the tables: stock is conserved, and carts, orders and stock agree."""

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

from agents.loms.order import OPEN, Order
from agents.loms.stock import (
    MAX_RESERVE_AGE,
    RETENTION,
    Receipt,
    Reservation,
    ReservationStatus,
    StockLevel,
)
from schemas.contract import Contract
from schemas.order import Status, order_id, purchase_id
from schemas.stock import ReceiveStock, Sell

_STATUS_IN_STOCK = {
    Status.AWAITING_PAYMENT: ReservationStatus.RESERVED,
    Status.PAID: ReservationStatus.SOLD,
}
_WITHOUT_STOCK = (ReservationStatus.RELEASED, ReservationStatus.REFUSED)

StockLocation = tuple[int, int]
"""A sku and a warehouse."""

MAX_LINES = 50
"""Limit of printed balances, differences or violations."""

Account = Literal["received", "available", "reserved", "held", "written_off"]
"""What units are: received in all; held by reservations that are neither sold nor
released; written off by sold ones."""

Balances = defaultdict[StockLocation, Counter[Account]]
"""Units of a sku in one warehouse, by account."""

Rows = Mapping[str, Any]

ACCOUNTS: tuple[Account, ...] = ("received", "available", "reserved", "written_off")


def add_turnover(found: Balances, request: Contract, before: Any, after: Any) -> None:  # noqa: ANN401 -- states
    """Add the units that a record received or wrote off.

    Its entry may be deleted later, so the units are counted when the record is replayed.
    """
    match request:
        case ReceiveStock() if before.entry is None:
            found[request.sku, request.warehouse_id]["received"] += request.count
        case Sell():
            for warehouse, units in after.entry.allocation.items():
                found[request.sku, warehouse]["written_off"] += units
        case _:
            pass


def balances(stock: Rows, turnover: Iterable[Balances] = ()) -> Balances:
    """Add up the table of stock, and the turnover of each partition."""
    found: Balances = defaultdict(Counter)
    for part in turnover:
        for location, counted in part.items():
            found[location].update(counted)
    for key, row in stock.items():
        sku = int(key.partition("/")[0])
        for account, allocation in _units(row).items():
            for warehouse, units in allocation.items():
                found[sku, warehouse][account] += units
    return found


def _units(row: StockLevel | Reservation | Receipt) -> dict[Account, Mapping[int, int]]:
    match row:
        case StockLevel(available, reserved):
            return {"available": available, "reserved": reserved}
        case Reservation(ReservationStatus.RESERVED, allocation):
            return {"held": allocation}
        case _:  # closed, or a receipt: they may have been deleted
            return {}


def total(found: Balances) -> Counter[Account]:
    """Add up all balances."""
    sums = Counter[Account]()
    for balance in found.values():
        sums.update(balance)
    return sums


def table(found: Balances, limit: int = MAX_LINES) -> Iterator[str]:
    """Yield the balances as text, up to a limit, and their total."""
    yield _line("sku", "warehouse", *(name.replace("_", " ") for name in ACCOUNTS))
    for (sku, warehouse), balance in sorted(found.items())[:limit]:
        yield _line(sku, warehouse, *(balance[name] for name in ACCOUNTS))
    if limit and len(found) > limit:
        yield f"… and {len(found) - limit} lines more"
    sums = total(found)
    yield _line("all", len(found), *(sums[name] for name in ACCOUNTS))


def _line(first: object, *others: object) -> str:
    return f"{first:<12}" + "".join(f" {cell:>20}" for cell in others)


def violations(found: Balances, uncounted: Container[int] = ()) -> Iterator[str]:
    """Yield the violated invariants of balances; of `uncounted` skus without turnover."""
    for (sku, warehouse), units in found.items():
        where = f"sku {sku}, warehouse {warehouse}"
        if min(units.values()) < 0:
            yield f"{where}: negative: {dict(units)}"
        reserved, held = units["reserved"], units["held"]
        if reserved != held:
            yield f"{where}: reserved {reserved}, but reservations hold {held}"
        accounted = units["available"] + reserved + units["written_off"]
        if units["received"] != accounted and sku not in uncounted:
            yield (
                f"{where}: received {units['received']}, but available"
                f" {units['available']} + reserved {reserved} + written off"
                f" {units['written_off']} = {accounted}"
            )


def inconsistencies(
    carts: Rows,
    orders: Rows,
    stock: Rows,
    now: datetime,
    in_flight: Iterable[Contract | None] = (),
) -> Iterator[str]:
    """Yield the orders, reservations and purchases that contradict each other.

    The orders and users of messages in flight can't be checked yet; nor the reservations
    that may have expired by `now`.
    """
    messages = list(in_flight)
    unsettled = {getattr(message, "order_id", None) for message in messages}
    users = {getattr(message, "user", None) for message in messages}
    for order in orders.values():
        if order.order_id not in unsettled:
            yield from _order_violations(order, stock, now)
    for key, row in stock.items():
        sku, _, number = key.partition("/")
        if isinstance(row, Reservation) and int(number) not in unsettled:
            yield from _reservation_violations(row, sku, orders.get(number), number, now)
    for user, cart in carts.items():
        if int(user) not in users:
            yield from _stuck_purchases(int(user), cart.checkouts, orders)


def _order_violations(order: Order, stock: Rows, now: datetime) -> Iterator[str]:
    """Yield the lines whose reservations contradict the status of their order."""
    if order.status is Status.NEW:
        yield f"order {order.order_id} is new, and no message for it is in flight"
        return
    required = _STATUS_IN_STOCK.get(order.status)
    for sku, count in order.lines.items():
        reservation = stock.get(f"{sku}/{order.order_id}")
        if _has_expired(order, reservation, now):
            continue
        status = reservation.status if reservation else None
        units = sum(reservation.allocation.values()) if reservation else 0
        allowed = (required,) if required else _WITHOUT_STOCK
        if status not in allowed or (required and units != count):
            yield (
                f"order {order.order_id} is {order.status}, {count} of sku {sku}, but"
                f" its reservation is {status or 'missing'}, {units} units"
            )


def _has_expired(order: Order, row: Reservation | None, now: datetime) -> bool:
    """Return whether an order's reservation is deleted, or a late command replaced it."""
    if order.status in OPEN:
        return False
    over_since = order.history[-1].at
    if row is None:
        was_reserved = any(s.status is Status.AWAITING_PAYMENT for s in order.history)
        # A line is refused, or released, while the answers to others are awaited.
        closed_since = over_since if was_reserved else order.history[0].at
        return now - closed_since >= RETENTION
    return row.at - over_since > MAX_RESERVE_AGE


def _reservation_violations(
    reservation: Reservation, sku: str, order: Order | None, number: str, now: datetime
) -> Iterator[str]:
    """Yield the reserved or sold units that their order does not contain.

    The order of an older sale may be deleted.
    """
    if reservation.status in _WITHOUT_STOCK:
        return
    is_sold = reservation.status is ReservationStatus.SOLD
    if order is None and is_sold and now - reservation.at > MAX_RESERVE_AGE:
        return
    if order is None or int(sku) not in order.lines:
        text = f"sku {sku} is {reservation.status} for order {number}"
        yield f"{text}, which does not contain it"


def _stuck_purchases(user: int, purchases: Iterable[str], orders: Rows) -> Iterator[str]:
    """Yield the purchases of a cart whose order will send no result any more."""
    for purchase in purchases:
        order = orders.get(str(order_id(user, purchase_id(purchase))))
        if order is None or order.status is not Status.NEW:
            status = order.status if order else "missing"
            yield f"user {user} waits for purchase {purchase}, whose order is {status}"
