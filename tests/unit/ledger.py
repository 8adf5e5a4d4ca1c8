"""A World's state and history, in the form of the laws."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agents.aggregate import Cause
from agents.checkout.cart import Cart
from agents.loms.order import Order
from agents.loms.stock import (
    Receipt,
    Reservation,
    ReservationStatus,
    StockLevel,
    StockState,
)
from schemas.cart import OrderSettled, Purchase
from schemas.contract import Code, Contract, Refused
from schemas.order import CreateOrder, order_id, purchase_id
from topics.catalog import CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS

from .partition import Partition, Rows, Turn
from .world import World


@dataclass(frozen=True)
class Wish:
    """A request and its id: all attempts at it are one wish."""

    request: Any
    request_id: str


@dataclass(frozen=True)
class Change:
    """What one record did to a cart's lines."""

    request: Any
    before: Mapping[int, int]
    after: Mapping[int, int]

    @property
    def delta(self) -> dict[int, int]:
        skus = {*self.before, *self.after}
        delta = {sku: self.after.get(sku, 0) - self.before.get(sku, 0) for sku in skus}
        return {sku: count for sku, count in delta.items() if count}


class Ledger:
    """The rows, the requests with their answers, and the replay of each log.

    Attributes:
        live: the rows of each partition, as they came to be, without expired ones.
        replayed: the same, folded from the log at one go.
        everything: these rows and those that have expired.
        entries: of orders, by sku and order; those that have expired, too.
        reserved: how many times each was reserved.
        orders: all of them; of a deleted one the last state.
        deleted: when a record deleted an order.
        answers: of each attempt.
        returns: what the end of a purchase put back, by user and purchase.
        changes: what any other request did to a cart's lines, by user and request id.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.wishes: defaultdict[Wish, list[list[Contract]]] = defaultdict(list)
        self.returns: defaultdict[tuple[int, str], list[Change]] = defaultdict(list)
        self.changes: defaultdict[tuple[int, str], list[Change]] = defaultdict(list)
        self.entries: dict[tuple[int, int], Reservation] = {}
        self.reserved: Counter[tuple[int, int]] = Counter()
        self.deleted: dict[int, datetime] = {}
        self.live: dict[str, Rows] = {}
        self.everything: dict[str, Rows] = {}
        self.replayed: dict[str, Rows] = {}
        self.answers: dict[str, list[Contract]] = {}
        self._read_rows()
        for partition in world.all():
            rows = Rows()
            replay = Partition(partition.aggregate, partition.name, partition.log)
            for turn in replay.fold(0, len(replay.log), rows):
                self._note(turn)
            self.everything[partition.name] = dict(rows)
            newest = max((record.at for record in partition.log), default=world.now)
            self.live[partition.name] = partition.unexpired(partition.rows, newest)
            self.replayed[partition.name] = partition.unexpired(rows, newest)
        self._read_answers()

    def done(self, kind: type[Contract]) -> list[tuple[Wish, Contract]]:
        """The wishes that came true, with their answers."""
        return [
            (wish, answer)
            for wish, attempts in self.wishes.items()
            if isinstance(wish.request, kind)
            for answer in [
                next((a for [*_, a] in attempts if not isinstance(a, Refused)), None)
            ]
            if answer
        ]

    def _read_rows(self) -> None:
        rows: dict[Any, dict[str, Any]] = defaultdict(dict)
        for partition in self.world.all():
            for name, row in partition.rows.items():
                rows[partition.aggregate.requests][name] = partition.decode(name, row)
        self.carts: dict[int, Cart] = {int(u): c for u, c in rows[CART_REQUESTS].items()}
        self.orders: dict[int, Order] = {int(o): r for o, r in rows[ORDER_REQUESTS].items()}
        self.levels: dict[int, StockLevel] = {
            int(sku): row for sku, row in rows[STOCK_REQUESTS].items() if "/" not in sku
        }

    def _read_answers(self) -> None:
        for origin, attempt in self.world.attempts.items():
            cause = Cause(self.world.now, origin, attempt.key)
            wish = Wish(attempt.request, cause.request_id)
            answers = self._before_deletion(wish, self.world.replies[origin])
            self.wishes[wish].append(answers)
            self.answers[origin] = answers

    def _before_deletion(self, wish: Wish, answers: list[Contract]) -> list[Contract]:
        """Leave out later answers to a record that changed nothing: the order is gone."""
        match wish.request:
            case CreateOrder(user=user):
                number = order_id(user, wish.request_id)
            case Purchase(user=user):
                number = order_id(user, purchase_id(wish.request_id))
            case request:
                number = getattr(request, "order_id", None)
        codes = [answer.code if isinstance(answer, Refused) else None for answer in answers]
        if number not in self.deleted or Code.UNKNOWN_ORDER not in codes:
            return answers
        return answers[: codes.index(Code.UNKNOWN_ORDER)] or answers

    def _note(self, turn: Turn) -> None:
        if isinstance(turn.after, StockState) and turn.after is not turn.before:
            self._note_entry(turn.request, turn.after.entry)
        if isinstance(turn.before, Order) and turn.after is None:
            self.orders[turn.before.order_id] = turn.before
            self.deleted[turn.before.order_id] = turn.cause.timestamp
        if not isinstance(turn.after, Cart):
            return
        before = turn.before.lines if turn.before else {}
        change = Change(turn.request, before, turn.after.lines)
        user = turn.request.user
        if isinstance(turn.request, OrderSettled):
            if turn.after is not turn.before:
                self.returns[user, turn.request.purchase].append(change)
        elif change.delta:
            self.changes[user, turn.cause.request_id].append(change)

    def _note_entry(self, request: Any, entry: Reservation | Receipt | None) -> None:
        """Keep an order's entry; one that follows an expired one holds nothing."""
        if isinstance(entry, Reservation):
            name = request.sku, request.order_id
            self.reserved[name] += entry.status is ReservationStatus.RESERVED
            if entry.allocation or name not in self.entries:
                self.entries[name] = entry


def units(entries: Mapping[Any, Reservation], sku: int) -> Counter[int]:
    """Add up by warehouse what these entries have of a sku."""
    total: Counter[int] = Counter()
    for (of, _), entry in entries.items():
        if of == sku:
            total.update(entry.allocation)
    return total
