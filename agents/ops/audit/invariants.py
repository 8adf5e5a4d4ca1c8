"""Invariants of the tables: stock is conserved, and carts, orders and stock agree."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agents.loms.order import Order
from agents.loms.stock import Receipt, Reservation, ReservationStatus, StockLevel
from agents.ops.audit.replay import ReplayedRecord
from schemas.contract import Contract
from schemas.ids import SHARDS, order_id, purchase_id
from schemas.order import Status
from schemas.stock import ReceiveStock
from topics.kafka.location import partition_of

_STATUS_IN_STOCK = {
    Status.AWAITING_PAYMENT: ReservationStatus.RESERVED,
    Status.PAID: ReservationStatus.SOLD,
}
_WITHOUT_STOCK = (ReservationStatus.RELEASED, ReservationStatus.REFUSED)

StockLocation = tuple[int, int]
"""A sku and a warehouse."""

Rows = Mapping[str, Any]


@dataclass(slots=True)
class StockBalance:
    """Units of a sku in one warehouse.

    Attributes:
        received: the sum of all receipts.
        available: to be bought.
        reserved: for orders.
        held: by reservations that are neither sold nor released.
        written_off: by sold reservations.
    """

    received: int = 0
    available: int = 0
    reserved: int = 0
    held: int = 0
    written_off: int = 0

    def violations(self) -> Iterator[str]:
        """Yield the violated invariants."""
        if min(self.available, self.reserved, self.held, self.written_off) < 0:
            yield f"negative: {self}"
        if self.reserved != self.held:
            yield f"reserved {self.reserved}, but reservations hold {self.held}"
        accounted = self.available + self.reserved + self.written_off
        if self.received != accounted:
            yield (
                f"received {self.received}, but available {self.available} + reserved"
                f" {self.reserved} + written off {self.written_off} = {accounted}"
            )


Balances = dict[StockLocation, StockBalance]


def balances(rows: Rows, received: Mapping[StockLocation, int] | None = None) -> Balances:
    """Add up a stock table.

    Args:
        rows: of the table, or of some partitions.
        received: units by the log; None: by the receipts among the rows.
    """
    found: Balances = {}

    def add(sku: int, allocation: Mapping[int, int], name: str) -> None:
        for warehouse, units in allocation.items():
            balance = found.setdefault((sku, warehouse), StockBalance())
            setattr(balance, name, getattr(balance, name) + units)

    for key, row in rows.items():
        sku = int(key.partition("/")[0])
        for name, allocation in _units(row):
            if received is None or name != "received":
                add(sku, allocation, name)
    for (sku, warehouse), units in (received or {}).items():
        add(sku, {warehouse: units}, "received")
    return found


def _units(
    row: StockLevel | Reservation | Receipt,
) -> Iterator[tuple[str, Mapping[int, int]]]:
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


def received_by(replayed: ReplayedRecord) -> dict[StockLocation, int]:
    """Return the units that a record put into a warehouse, if any."""
    request = replayed.envelope.request if replayed.envelope else None
    if replayed.changed and isinstance(request, ReceiveStock):
        return {(request.sku, request.warehouse_id): request.count}
    return {}


def violations(found: Balances) -> Iterator[str]:
    """Yield the violated invariants of balances."""
    for (sku, warehouse), balance in found.items():
        for violation in balance.violations():
            yield f"sku {sku}, warehouse {warehouse}: {violation}"


def total(found: Balances) -> StockBalance:
    """Add up all balances."""
    sums = Counter[str]()
    for balance in found.values():
        for name in StockBalance.__slots__:
            sums[name] += getattr(balance, name)
    return StockBalance(**sums)


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


class InFlight:
    """The orders and users of messages in flight, which can't be checked yet."""

    def __init__(self, messages: Iterable[Contract | None]) -> None:
        messages = list(messages)
        self.orders = {getattr(message, "order_id", None) for message in messages}
        self.users = {getattr(message, "user", None) for message in messages}


def inconsistencies(tables: Tables, in_flight: InFlight) -> Iterator[str]:
    """Yield the orders, reservations and purchases that contradict each other."""
    for rows in tables.orders:
        for order in rows.values():
            if order.order_id not in in_flight.orders:
                yield from _order_violations(order, tables)
    for rows in tables.stock:
        for number, text in _orphans(rows, tables):
            if number not in in_flight.orders:
                yield text
    for rows in tables.carts:
        for user, cart in rows.items():
            if int(user) not in in_flight.users:
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
            yield (
                int(number),
                f"sku {sku} is {row.status} for order {number}, which does not contain it",
            )


def _stuck_purchases(tables: Tables, user: int, purchases: Iterable[str]) -> Iterator[str]:
    """Yield the purchases of a cart whose order will send no result any more."""
    for purchase in purchases:
        order = tables.order(order_id(user, purchase_id(purchase)))
        if order is None or order.status is not Status.NEW:
            status = order.status if order else "missing"
            yield f"user {user} waits for purchase {purchase}, whose order is {status}"
