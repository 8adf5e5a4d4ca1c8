"""The stock of one sku, over all warehouses, as pure functions.

    available --reserve--> reserved for an order --sell-----> written off
                                                 `--release-> available again, there

Each order has an entry of its own, so a command costs the same however many
reservations are open. Answers are final: a refusal is stored too, and a release that
overtakes its reserve makes the reserve fail.

Entries expire: those of closed reservations after a day. A reserve that comes later is
refused, since the order may have had an entry.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from agents.aggregate import Cause, Refusal
from agents.row_serde import TableRow
from schemas.cart import StockChecked
from schemas.contract import DONE, MAX_COUNT, MAX_STOCK, Code, Contract, Refused
from schemas.order import StockReserved
from schemas.stock import (
    CheckStock,
    ListStocks,
    ReceiveStock,
    Release,
    Reserve,
    Sell,
    Stock,
    StockRequest,
    StocksView,
)

MAX_WAREHOUSES = 1000
"""Of one sku: its stock level is one row, and its stocks are one reply."""

RETENTION = timedelta(days=1)
"""Of closed reservations and of receipts."""

FORWARDED_RETENTION = timedelta(days=30)
"""Of the receipt of a forwarded record: a crash may forward it once more, as late as the
worker's next start."""

MAX_RESERVE_AGE = RETENTION - timedelta(hours=1)
"""A reserve is refused when its order is older. An entry is younger than its order, except
for the difference of two brokers' clocks: so an entry that has expired is not missed."""

Allocation = Mapping[int, int]


class StockLevel(TableRow, frozen=True):
    """Units of a sku by warehouse; an empty warehouse has no entry."""

    available: Allocation = field(default_factory=dict)
    reserved: Allocation = field(default_factory=dict)


class ReservationStatus(StrEnum):
    """Status of an order's reservation of this sku."""

    RESERVED = "reserved"
    REFUSED = "refused"
    RELEASED = "released"
    SOLD = "sold"


class Reservation(TableRow, frozen=True):
    """An order's entry: its status since `at`, and its units by warehouse."""

    old_names: ClassVar[Mapping[str, str]] = {"fate": "status", "parcels": "allocation"}

    status: ReservationStatus
    allocation: Allocation
    at: datetime


class Receipt(TableRow, frozen=True):
    """Fingerprint of a receiveStock that was processed.

    Rows of older releases do not have `is_forwarded`.
    """

    request: str
    at: datetime
    is_forwarded: bool = False


class StockState(NamedTuple):
    """State of a sku for one request: the stock level, and the request's own entry."""

    level: StockLevel | None = None
    entry: Reservation | Receipt | None = None


class StockMoved(Struct, frozen=True):
    """Units moved on the stock level, and an entry was written with them."""

    available: Allocation
    reserved: Allocation
    entry: Reservation | Receipt


def expires(row: StockLevel | Reservation | Receipt) -> datetime | None:
    """Return from when on a row counts as absent; None: never."""
    match row:
        case Receipt(at=at, is_forwarded=True):
            return at + FORWARDED_RETENTION
        case Reservation(status=ReservationStatus.RESERVED) | StockLevel():
            return None
        case Reservation(at=at) | Receipt(at=at):
            return at + RETENTION


def identify(request: StockRequest, cause: Cause) -> tuple[str, ...]:
    """Return the row keys: the sku, and the entry of an order or a receipt."""
    level = str(request.sku)
    match request:
        case ListStocks() | CheckStock():
            return (level,)
        case ReceiveStock():
            return level, f"{level}/{cause.request_id}"
        case Reserve() | Release() | Sell():
            return level, f"{level}/{request.order_id}"


def decide(state: StockState, request: StockRequest, cause: Cause) -> list[StockMoved]:
    """Return the movements of a request; none when nothing is left to do.

    Raises:
        Refusal: COUNT_TOO_LARGE, KEY_REUSED (both of receiveStock).
    """
    match request:
        case ListStocks() | CheckStock():
            return []
        case ReceiveStock():
            return _receive(state, request, cause)
        case Reserve() if state.entry is None:
            return [_reserve(state.level or StockLevel(), request, cause)]
        case Release() if state.entry is None:
            return [_nothing_moved(ReservationStatus.RELEASED, cause)]
        case Release() | Sell():
            return _close_reservation(state.entry, request, cause)
        case Reserve():
            return []


def evolve(state: StockState, event: StockMoved) -> StockState:
    """Apply one event of `decide`, without checks."""
    if not (event.available or event.reserved):
        return StockState(state.level, event.entry)
    level = state.level or StockLevel()
    available = _added(level.available, event.available)
    reserved = _added(level.reserved, event.reserved)
    return StockState(StockLevel(available, reserved), event.entry)


def follow_up(state: StockState, request: StockRequest, _: Cause) -> Iterator[Contract]:
    """Return the reply, or the answer to a cart or an order."""
    available = state.level.available if state.level else {}
    match request:
        case ListStocks():
            stocks = (Stock(warehouse_id=w, count=n) for w, n in sorted(available.items()))
            yield StocksView(stocks=tuple(stocks))
        case CheckStock(user=user, sku=sku, count=count):
            most = min(sum(available.values()), MAX_COUNT)
            yield StockChecked(user=user, sku=sku, count=count, available=most)
        case ReceiveStock() if isinstance(state.entry, Receipt):
            yield DONE
        case ReceiveStock():
            yield Refused(code=Code.UNAVAILABLE, text="not processed; send it again")
        case Reserve(order_id=order_id, sku=sku):
            given = isinstance(state.entry, Reservation) and bool(state.entry.allocation)
            yield StockReserved(order_id=order_id, sku=sku, reserved=given)
        case Release() | Sell():
            return


def _receive(state: StockState, request: ReceiveStock, cause: Cause) -> list[StockMoved]:
    warehouse, count = request.warehouse_id, request.count
    fingerprint = f"receiveStock {warehouse} {count}"
    receipt = Receipt(fingerprint, cause.timestamp, is_forwarded=not cause.is_first)
    if isinstance(state.entry, Receipt):
        if state.entry.request != receipt.request:
            text = f"this idempotency key was used for: {state.entry.request}"
            raise Refusal(Code.KEY_REUSED, text)
        if receipt.is_forwarded and not state.entry.is_forwarded:
            return [StockMoved({}, {}, replace(state.entry, is_forwarded=True))]
        return []
    level = state.level or StockLevel()
    warehouses = level.available.keys() | level.reserved.keys()
    if warehouse not in warehouses and len(warehouses) >= MAX_WAREHOUSES:
        text = f"a sku has at most {MAX_WAREHOUSES} warehouses"
        raise Refusal(Code.COUNT_TOO_LARGE, text)
    stored = level.available.get(warehouse, 0) + level.reserved.get(warehouse, 0)
    if stored + count > MAX_STOCK:
        text = f"warehouse {warehouse} holds {stored}; it can't pass {MAX_STOCK}"
        raise Refusal(Code.COUNT_TOO_LARGE, text)
    return [StockMoved({warehouse: count}, {}, receipt)]


def _reserve(level: StockLevel, request: Reserve, cause: Cause) -> StockMoved:
    if request.at is not None and cause.timestamp - request.at > MAX_RESERVE_AGE:
        return _nothing_moved(ReservationStatus.REFUSED, cause)
    if sum(level.available.values()) < request.count:
        return _nothing_moved(ReservationStatus.REFUSED, cause)
    allocation = _pick(level.available, request.count)
    entry = Reservation(ReservationStatus.RESERVED, allocation, cause.timestamp)
    return StockMoved(_negated(allocation), allocation, entry)


def _nothing_moved(status: ReservationStatus, cause: Cause) -> StockMoved:
    return StockMoved({}, {}, Reservation(status, {}, cause.timestamp))


def _pick(available: Allocation, count: int) -> dict[int, int]:
    """Pick from the fullest warehouse first, ties by lowest id: the fewest picks."""
    allocation: dict[int, int] = {}
    for warehouse, units in sorted(available.items(), key=lambda w: (-w[1], w[0])):
        if count:
            allocation[warehouse] = min(units, count)
            count -= allocation[warehouse]
    return allocation


def _close_reservation(
    entry: Reservation | Receipt | None, request: Release | Sell, cause: Cause
) -> list[StockMoved]:
    if not isinstance(entry, Reservation) or entry.status is not ReservationStatus.RESERVED:
        return []
    status, back = ReservationStatus.RELEASED, entry.allocation
    if isinstance(request, Sell):
        status, back = ReservationStatus.SOLD, {}
    closed = Reservation(status, entry.allocation, cause.timestamp)
    return [StockMoved(back, _negated(entry.allocation), closed)]


def _negated(allocation: Allocation) -> Allocation:
    return {warehouse: -count for warehouse, count in allocation.items()}


def _added(stored: Allocation, change: Allocation) -> Allocation:
    total = dict(stored)
    for warehouse, count in change.items():
        total[warehouse] = total.get(warehouse, 0) + count
        if not total[warehouse]:
            del total[warehouse]
    return total
