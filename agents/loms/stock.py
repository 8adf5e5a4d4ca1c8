"""The stock of one sku, over all warehouses, as pure functions.

    available --reserve--> reserved for an order --sell-----> written off
                                                 `--release-> available again, there

Each order has an entry of its own beside the shelf, so that a command costs the same
however many reservations are open. An answer, once given, stays: a refusal is kept too,
and a release that comes first makes a later reserve come to nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from agents.refusal import Refusal
from schemas.cart import StockChecked
from schemas.cause import Cause
from schemas.contract import MAX_COUNT, MAX_GOODS, Code, Contract, Done, Refused
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
"""Of one sku: its shelf is one row, and its stocks are one reply."""

Parcels = Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Shelf:
    """A sku's goods, in pieces by warehouse; an empty place has no entry."""

    available: Parcels = field(default_factory=dict)
    reserved: Parcels = field(default_factory=dict)


class Fate(StrEnum):
    """What became of an order's request for this sku."""

    RESERVED = "reserved"
    REFUSED = "refused"
    RELEASED = "released"
    SOLD = "sold"


@dataclass(frozen=True, slots=True)
class Reservation:
    """An order's entry: its fate since `at`, and the pieces by warehouse it was given."""

    fate: Fate
    parcels: Parcels
    at: datetime


@dataclass(frozen=True, slots=True)
class Receipt:
    """Goods that were put in once, and what the request said."""

    request: str
    at: datetime


class Goods(NamedTuple):
    """State of a sku as one request sees it: the shelf, and the entry it is about."""

    shelf: Shelf | None = None
    entry: Reservation | Receipt | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """Pieces changed place on the shelf, and with it an order's entry."""

    available: Parcels
    reserved: Parcels
    entry: Reservation | Receipt


def identify(request: StockRequest, cause: Cause) -> tuple[str, ...]:
    """Name the shelf, and the entry of the order or receipt if it is about one."""
    shelf = str(request.sku)
    match request:
        case ListStocks() | CheckStock():
            return (shelf,)
        case ReceiveStock():
            return shelf, f"{shelf}/{cause.request_id}"
        case Reserve() | Release() | Sell():
            return shelf, f"{shelf}/{request.order_id}"


def decide(goods: Goods, request: StockRequest, cause: Cause) -> list[Moved]:
    """Say what moves; nothing when there is nothing left to do.

    Raises:
        Refusal: COUNT_TOO_LARGE, KEY_REUSED (both of receiveStock).
    """
    match request:
        case ListStocks() | CheckStock():
            return []
        case ReceiveStock():
            return _receive(goods, request, cause)
        case Reserve() if goods.entry is None:
            return [_reserve(goods.shelf or Shelf(), request.count, cause)]
        case Release() if goods.entry is None:
            return [Moved({}, {}, Reservation(Fate.RELEASED, {}, cause.at))]
        case Release() | Sell():
            return _settle(goods.entry, request, cause)
        case Reserve():
            return []


def evolve(goods: Goods, event: Moved) -> Goods:
    """Apply one event; trusts `decide`, checks nothing."""
    if not (event.available or event.reserved):
        return Goods(goods.shelf, event.entry)
    shelf = goods.shelf or Shelf()
    moved = replace(
        shelf,
        available=_sum(shelf.available, event.available),
        reserved=_sum(shelf.reserved, event.reserved),
    )
    return Goods(moved, event.entry)


def follow_up(goods: Goods, request: StockRequest, _: Cause) -> Iterator[Contract]:
    """Say all that must be said now: the reply, or stock's answer to a cart or order."""
    available = goods.shelf.available if goods.shelf else {}
    match request:
        case ListStocks():
            yield StocksView(stocks=_places(available))
        case CheckStock(user=user, sku=sku, count=count):
            most = min(sum(available.values()), MAX_COUNT)
            yield StockChecked(user=user, sku=sku, count=count, available=most)
        case ReceiveStock() if isinstance(goods.entry, Receipt):
            yield Done()
        case ReceiveStock():
            yield Refused(code=Code.UNAVAILABLE, text="not done; ask again")
        case Reserve(order_id=order_id, sku=sku):
            given = isinstance(goods.entry, Reservation) and bool(goods.entry.parcels)
            yield StockReserved(order_id=order_id, sku=sku, reserved=given)
        case Release() | Sell():
            return


def _receive(goods: Goods, request: ReceiveStock, cause: Cause) -> list[Moved]:
    warehouse, count = request.warehouse_id, request.count
    receipt = Receipt(f"receiveStock {warehouse} {count}", cause.at)
    if isinstance(goods.entry, Receipt):
        if goods.entry.request != receipt.request:
            text = f"this idempotency key was used for: {goods.entry.request}"
            raise Refusal(Code.KEY_REUSED, text)
        return []
    shelf = goods.shelf or Shelf()
    places = shelf.available.keys() | shelf.reserved.keys()
    if warehouse not in places and len(places) >= MAX_WAREHOUSES:
        text = f"a sku lies in at most {MAX_WAREHOUSES} warehouses"
        raise Refusal(Code.COUNT_TOO_LARGE, text)
    there = shelf.available.get(warehouse, 0) + shelf.reserved.get(warehouse, 0)
    if there + count > MAX_GOODS:
        text = f"warehouse {warehouse} holds {there}; it can't pass {MAX_GOODS}"
        raise Refusal(Code.COUNT_TOO_LARGE, text)
    return [Moved({warehouse: count}, {}, receipt)]


def _reserve(shelf: Shelf, count: int, cause: Cause) -> Moved:
    if sum(shelf.available.values()) < count:
        return Moved({}, {}, Reservation(Fate.REFUSED, {}, cause.at))
    parcels = _pick(shelf.available, count)
    return Moved(_minus(parcels), parcels, Reservation(Fate.RESERVED, parcels, cause.at))


def _pick(available: Parcels, count: int) -> dict[int, int]:
    """Take from the fullest first, ties by lowest warehouse: the fewest parcels."""
    parcels: dict[int, int] = {}
    for warehouse, pieces in sorted(available.items(), key=lambda w: (-w[1], w[0])):
        if count:
            parcels[warehouse] = min(pieces, count)
            count -= parcels[warehouse]
    return parcels


def _settle(
    entry: Reservation | Receipt | None, request: Release | Sell, cause: Cause
) -> list[Moved]:
    if not isinstance(entry, Reservation) or entry.fate is not Fate.RESERVED:
        return []
    fate, back = (
        (Fate.SOLD, {}) if isinstance(request, Sell) else (Fate.RELEASED, entry.parcels)
    )
    return [Moved(back, _minus(entry.parcels), Reservation(fate, entry.parcels, cause.at))]


def _minus(parcels: Parcels) -> Parcels:
    return {warehouse: -count for warehouse, count in parcels.items()}


def _sum(there: Parcels, change: Parcels) -> Parcels:
    total = dict(there)
    for warehouse, count in change.items():
        total[warehouse] = total.get(warehouse, 0) + count
        if not total[warehouse]:
            del total[warehouse]
    return total


def _places(available: Parcels) -> tuple[Stock, ...]:
    return tuple(Stock(warehouse_id=w, count=n) for w, n in sorted(available.items()))
