"""A World's state and history, in the form of the laws."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.aggregate import Cause
from agents.checkout.cart import Cart
from agents.loms.order import Order
from agents.loms.stock import Reservation, StockLevel
from schemas.cart import OrderSettled
from schemas.contract import Contract, Refused
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
        live: the rows of each partition, as they came to be.
        replayed: the same, folded from the log at one go.
        returns: what the end of a purchase put back, by user and purchase.
        changes: what any other request did to a cart's lines, by user and request id.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.wishes: defaultdict[Wish, list[list[Contract]]] = defaultdict(list)
        self.returns: defaultdict[tuple[int, str], list[Change]] = defaultdict(list)
        self.changes: defaultdict[tuple[int, str], list[Change]] = defaultdict(list)
        self.live = {partition.name: partition.rows for partition in world.all()}
        self.replayed: dict[str, Rows] = {}
        self._read_rows()
        self._read_answers()
        for partition in world.all():
            rows = self.replayed[partition.name] = Rows()
            replay = Partition(partition.aggregate, partition.name, partition.log)
            for turn in replay.fold(0, len(replay.log), rows):
                self._note(turn)

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
                adapter = partition.aggregate.adapters[1 if "/" in name else 0]
                rows[partition.aggregate.requests][name] = adapter.validate_json(row)
        self.carts: dict[int, Cart] = {int(u): c for u, c in rows[CART_REQUESTS].items()}
        self.orders: dict[int, Order] = {int(o): r for o, r in rows[ORDER_REQUESTS].items()}
        self.levels: dict[int, StockLevel] = {}
        self.entries: dict[tuple[int, int], Reservation] = {}
        for name, row in rows[STOCK_REQUESTS].items():
            sku, _, entry = name.partition("/")
            if not entry:
                self.levels[int(sku)] = row
            elif isinstance(row, Reservation):
                self.entries[int(sku), int(entry)] = row

    def _read_answers(self) -> None:
        for origin, attempt in self.world.attempts.items():
            cause = Cause(self.world.now, origin, attempt.key)
            wish = Wish(attempt.request, cause.request_id)
            self.wishes[wish].append(self.world.replies[origin])

    def _note(self, turn: Turn) -> None:
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


def units(entries: Mapping[Any, Reservation], sku: int) -> Counter[int]:
    """Add up by warehouse what these entries have of a sku."""
    total: Counter[int] = Counter()
    for (of, _), entry in entries.items():
        if of == sku:
            total.update(entry.allocation)
    return total
