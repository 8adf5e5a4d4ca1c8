"""The books: no piece is lost or made, and stock and orders tell the same story."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agents.loms.order import Order
from agents.loms.stock import Receipt, Reservation, ReservationStatus, StockLevel
from agents.ops.audit.replay import ReplayedRecord
from schemas.order import Status
from schemas.stock import ReceiveStock

_STANDING = {
    Status.AWAITING_PAYMENT: ReservationStatus.RESERVED,
    Status.PAID: ReservationStatus.SOLD,
}
_GIVEN_BACK = (ReservationStatus.RELEASED, ReservationStatus.REFUSED)

StockLocation = tuple[int, int]
"""A sku and a warehouse."""


@dataclass(slots=True)
class StockBalance:
    """What became of a sku's pieces in one warehouse.

    Attributes:
        received: all that was ever put in.
        available: on the shelf, to be bought.
        reserved: on the shelf, set aside.
        held: what orders' entries say is set aside for them.
        written_off: what orders' entries say was sold.
    """

    received: int = 0
    available: int = 0
    reserved: int = 0
    held: int = 0
    written_off: int = 0

    def violations(self) -> Iterator[str]:
        """Say what is wrong."""
        if min(self.available, self.reserved, self.held, self.written_off) < 0:
            yield f"less than nothing: {self}"
        if self.reserved != self.held:
            yield f"reserved {self.reserved}, but orders' entries hold {self.held}"
        there = self.available + self.reserved + self.written_off
        if self.received != there:
            yield (
                f"received {self.received}, but available {self.available} + reserved"
                f" {self.reserved} + written off {self.written_off} = {there}"
            )


Balances = dict[StockLocation, StockBalance]


def balances(
    rows: Mapping[str, Any], received: Mapping[StockLocation, int] | None = None
) -> Balances:
    """Add up a stock table.

    Args:
        rows: the table, or partitions of it.
        received: what the log says was put in; None: what the receipts say.
    """
    lines: dict[StockLocation, StockBalance] = {}

    def add(sku: int, allocation: Mapping[int, int], what: str) -> None:
        for warehouse, count in allocation.items():
            line = lines.setdefault((sku, warehouse), StockBalance())
            setattr(line, what, getattr(line, what) + count)

    for key, row in rows.items():
        sku = int(key.partition("/")[0])
        for what, allocation in _tallies(row):
            if received is None or what != "received":
                add(sku, allocation, what)
    for (sku, warehouse), count in (received or {}).items():
        add(sku, {warehouse: count}, "received")
    return lines


def put_in(replayed: ReplayedRecord) -> dict[StockLocation, int]:
    """Return the pieces that a record put into a warehouse, if it did."""
    request = replayed.envelope.request if replayed.envelope else None
    if replayed.changed and isinstance(request, ReceiveStock):
        return {(request.sku, request.warehouse_id): request.count}
    return {}


def violations(lines: Balances) -> Iterator[str]:
    """Say what is wrong in a ledger."""
    for (sku, warehouse), line in lines.items():
        for fault in line.violations():
            yield f"sku {sku}, warehouse {warehouse}: {fault}"


def total(lines: Balances) -> StockBalance:
    """Add all lines up."""
    sums = Counter[str]()
    for line in lines.values():
        for name in StockBalance.__slots__:
            sums[name] += getattr(line, name)
    return StockBalance(**sums)


def _tallies(
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
        case _:  # refused or given back: nowhere
            return


Find = Callable[[int, int], Reservation | None]
"""Returns what stock has of a sku for an order."""


def order_violations(order: Order, find: Find) -> Iterator[str]:
    """Say where stock tells another story than an order of which nothing is under way."""
    if order.status is Status.NEW:
        yield f"order {order.order_id} is new, and nothing that it waits for is under way"
        return
    stands = _STANDING.get(order.status)
    for sku, count in order.lines.items():
        entry = find(sku, order.order_id)
        status = entry.status if entry else None
        units = sum(entry.allocation.values()) if entry else 0
        wanted = (stands,) if stands else _GIVEN_BACK
        if status not in wanted or (stands and units != count):
            yield (
                f"order {order.order_id} is {order.status}, {count} of sku {sku}, but"
                f" stock says {status or 'nothing'}, {units} pieces"
            )


def orphans(
    stock: Mapping[str, Any], find: Callable[[int], Order | None]
) -> Iterator[tuple[int, str]]:
    """Yield orders, and what stock set aside or sold for them that they don't know of."""
    for key, row in stock.items():
        if not isinstance(row, Reservation) or row.status in _GIVEN_BACK:
            continue
        sku, _, name = key.partition("/")
        order = find(int(name))
        if order is None or int(sku) not in order.lines:
            yield (
                int(name),
                f"sku {sku} is {row.status} for order {name}, which knows nothing of it",
            )
