"""Invariants of the tables: stock is conserved, and carts, orders and stock agree."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agents.loms.order import Order
from agents.loms.stock import Receipt, Reservation, ReservationStatus, StockLevel
from schemas.contract import Contract
from schemas.ids import SHARDS, order_id, purchase_id
from schemas.order import Status
from topics.kafka.location import partition_of

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

Balances = dict[StockLocation, Counter[Account]]
"""Units of a sku in one warehouse, by account."""

Rows = Mapping[str, Any]

ACCOUNTS: tuple[Account, ...] = ("received", "available", "reserved", "written_off")


def balances(rows: Rows, received: Mapping[StockLocation, int] | None = None) -> Balances:
    """Add up a stock table.

    Args:
        rows: of the table, or of some partitions.
        received: units by the log; None: by the receipts among the rows.
    """
    found: defaultdict[StockLocation, Counter[Account]] = defaultdict(Counter)
    for key, row in rows.items():
        sku = int(key.partition("/")[0])
        for account, allocation in _units(row):
            for warehouse, units in allocation.items():
                if received is None or account != "received":
                    found[sku, warehouse][account] += units
    for location, units in (received or {}).items():
        found[location]["received"] += units
    return found


def _units(
    row: StockLevel | Reservation | Receipt,
) -> Iterator[tuple[Account, Mapping[int, int]]]:
    match row:
        case StockLevel(available, reserved):
            yield "available", available
            yield "reserved", reserved
        case Reservation(ReservationStatus.RESERVED, allocation):
            yield "held", allocation
        case Reservation(ReservationStatus.SOLD, allocation):
            yield "written_off", allocation
        case Receipt(request):
            _, warehouse, count = request.split()
            yield "received", {int(warehouse): int(count)}
        case _:  # refused or released: no units
            return


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


def violations(found: Balances) -> Iterator[str]:
    """Yield the violated invariants of balances."""
    for (sku, warehouse), balance in found.items():
        for violation in _violations(balance):
            yield f"sku {sku}, warehouse {warehouse}: {violation}"


def _violations(units: Counter[Account]) -> Iterator[str]:
    if min(units.values()) < 0:
        yield f"negative: {dict(units)}"
    if units["reserved"] != units["held"]:
        yield f"reserved {units['reserved']}, but reservations hold {units['held']}"
    accounted = units["available"] + units["reserved"] + units["written_off"]
    if units["received"] != accounted:
        yield (
            f"received {units['received']}, but available {units['available']} + reserved"
            f" {units['reserved']} + written off {units['written_off']} = {accounted}"
        )


@dataclass(frozen=True)
class Tables:
    """All tables, each as the rows of its partitions, in the order of their numbers."""

    carts: list[Rows]
    orders: list[Rows]
    stock: list[Rows]

    def order(self, number: int) -> Order | None:
        """Return an order, or None."""
        found: Order | None = _owner(self.orders, number % SHARDS).get(str(number))
        return found

    def reservation(self, sku: int, order: int) -> Reservation | None:
        """Return the reservation of a sku for an order, or None."""
        found: Reservation | None = _owner(self.stock, sku).get(f"{sku}/{order}")
        return found


def _owner(partitions: list[Rows], key: int) -> Rows:
    return partitions[partition_of(str(key).encode(), len(partitions))]


def inconsistencies(
    tables: Tables, in_flight: Iterable[Contract | None] = ()
) -> Iterator[str]:
    """Yield the orders, reservations and purchases that contradict each other.

    The orders and users of messages in flight can't be checked yet.
    """
    messages = list(in_flight)
    unsettled = {getattr(message, "order_id", None) for message in messages}
    users = {getattr(message, "user", None) for message in messages}
    for rows in tables.orders:
        for order in rows.values():
            if order.order_id not in unsettled:
                yield from _order_violations(order, tables)
    for rows in tables.stock:
        for number, text in _orphans(rows, tables):
            if number not in unsettled:
                yield text
    for rows in tables.carts:
        for user, cart in rows.items():
            if int(user) not in users:
                yield from _stuck_purchases(tables, int(user), cart.checkouts)


def _order_violations(order: Order, tables: Tables) -> Iterator[str]:
    """Yield the lines whose reservations contradict the status of their order."""
    if order.status is Status.NEW:
        yield f"order {order.order_id} is new, and no message for it is in flight"
        return
    required = _STATUS_IN_STOCK.get(order.status)
    for sku, count in order.lines.items():
        reservation = tables.reservation(sku, order.order_id)
        status = reservation.status if reservation else None
        units = sum(reservation.allocation.values()) if reservation else 0
        allowed = (required,) if required else _WITHOUT_STOCK
        if status not in allowed or (required and units != count):
            yield (
                f"order {order.order_id} is {order.status}, {count} of sku {sku}, but"
                f" its reservation is {status or 'missing'}, {units} units"
            )


def _orphans(stock: Rows, tables: Tables) -> Iterator[tuple[int, str]]:
    """Yield reserved or sold units that no order contains, with the order's number."""
    for key, row in stock.items():
        if not isinstance(row, Reservation) or row.status in _WITHOUT_STOCK:
            continue
        sku, _, number = key.partition("/")
        order = tables.order(int(number))
        if order is None or int(sku) not in order.lines:
            text = (
                f"sku {sku} is {row.status} for order {number}, which does not contain it"
            )
            yield int(number), text


def _stuck_purchases(tables: Tables, user: int, purchases: Iterable[str]) -> Iterator[str]:
    """Yield the purchases of a cart whose order will send no result any more."""
    for purchase in purchases:
        order = tables.order(order_id(user, purchase_id(purchase)))
        if order is None or order.status is not Status.NEW:
            status = order.status if order else "missing"
            yield f"user {user} waits for purchase {purchase}, whose order is {status}"
