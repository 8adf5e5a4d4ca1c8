"""A year of the tables whose rows expire: rows, disk and memory level off.

    python -m tests.benchmarks.year [--orders 200000] [--open 800] [--unswept] [--plots DIR]

Records have times of their own, so a year takes minutes. The rules, transactions, stores
and the sweep are the product's; the changelog acknowledges at once. Orders are left out:
those that are over stay. Prints a JSON line for each half month.
"""

import argparse
import asyncio
import heapq
import json
import os
import tempfile
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import uvloop

from agents.checkout.service import CART_AGGREGATE
from agents.loms.service import STOCK_AGGREGATE
from agents.notifications.pending import pending_key
from agents.notifications.sent_log import SENT, event_row, sent_index, with_outcome
from agents.runtime import sweeper
from schemas.cart import OrderSettled, Purchase, StockChecked
from schemas.contract import MAX_COUNT, SHARDS, Contract, Item
from schemas.order import OrderStatusChanged, Status
from schemas.stock import ReceiveStock, Release, Reserve, Sell
from tests.benchmarks.curves import draw
from tests.benchmarks.meter import rss_bytes
from tests.benchmarks.table import P, Table, now
from topics.catalog import SENT_CHANGELOG
from topics.topic import EVENT_RETENTION

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = 365 * 24
HOUR = timedelta(hours=1)
POINTS = 24
SKUS, ACTIVE_USERS, NEW_USERS = 2_000, 100_000, 1_000_000
RESTOCKED = 0.1  # of all lines


@dataclass
class Year:
    """The simulation: orders at an even rate, of which some are open at any time."""

    orders: int
    open_at_once: int
    directory: Path
    random: Random = field(default_factory=lambda: Random(1))

    def __post_init__(self) -> None:
        at_once = timedelta()
        self.carts = Table(
            self.directory, CART_AGGREGATE.changelog, CART_AGGREGATE.index, at_once
        )
        self.stock = Table(
            self.directory, STOCK_AGGREGATE.changelog, STOCK_AGGREGATE.index, at_once
        )
        self.sent = Table(self.directory, SENT_CHANGELOG, sent_index, EVENT_RETENTION)
        self.tables = {"carts": self.carts, "stock": self.stock, "sent": self.sent}
        self._hours_open = self.open_at_once / (self.orders / HOURS)
        self._open: list[tuple[float, int, tuple[Item, ...]]] = []
        self._purge_ends = deque([b"smtp/"])
        self._made = 0

    async def hour(self, number: int) -> None:
        """Make, settle and close the orders of an hour."""
        stock: list[tuple[Contract, str | None]] = []
        carts: list[tuple[Contract, str | None]] = []
        events: list[OrderStatusChanged] = []
        while self._made < self.orders * (number + 1) // HOURS:
            self._made += 1
            self._order(number, carts, stock, events)
        while self._open and self._open[0][0] <= number:
            _, order, items = heapq.heappop(self._open)
            is_paid = self.random.random() < 0.7
            close = Sell if is_paid else Release
            stock += [(close(sku=item.sku, order_id=order), None) for item in items]
            status = Status.PAID if is_paid else Status.CANCELLED
            events.append(_event(order, status, items))
        await self.stock.process(STOCK_AGGREGATE, stock)
        await self.carts.process(CART_AGGREGATE, carts)
        for begin in range(0, len(events), 200):
            await self._notify(events[begin : begin + 200])

    def _order(self, hour: int, carts: Any, stock: Any, events: Any) -> None:
        """A user of those who are active at this time fills a cart and buys it."""
        first = NEW_USERS * hour // HOURS
        user = first + self.random.randrange(ACTIVE_USERS)
        order, key = self._made * SHARDS + user % SHARDS, f"k{self._made}"
        skus = self.random.sample(range(SKUS), self.random.choice((1, 1, 2)))
        items = tuple(Item(sku=sku, count=1) for sku in skus)
        for sku in skus:
            checked = StockChecked(user=user, sku=sku, count=1, available=MAX_COUNT)
            carts.append((checked, f"{key}-{sku}"))
            if self.random.random() < RESTOCKED:
                put_in = ReceiveStock(sku=sku, warehouse_id=sku % 3, count=20)
                stock.append((put_in, f"{key}-{sku}"))
            stock.append((Reserve(sku=sku, order_id=order, count=1, at=now()), None))
        carts.append((Purchase(user=user), key))
        status = Status.AWAITING_PAYMENT
        settled = OrderSettled(
            user=user, purchase=f"key:{key}", order_id=order, status=status
        )
        carts.append((settled, key))
        events += [_event(order, Status.NEW, items), _event(order, status, items)]
        closes = hour + self.random.uniform(0, 2) * self._hours_open
        heapq.heappush(self._open, (closes, order, items))

    async def _notify(self, events: Sequence[OrderStatusChanged]) -> None:
        """Write pending rows, deliver them, and write the outcomes."""
        table, rows, outcomes = self.sent, dict[bytes, Any](), dict[bytes, Any]()
        for event in events:
            table.offset += 1
            key = pending_key("smtp", table.offset, event.order_id)
            row = event_row(event, SENT, ["smtp"])
            rows |= {event.event_id.encode(): row, key: event.to_json()}
            outcomes[event.event_id.encode()] = with_outcome(row, "smtp", SENT)
            outcomes[key] = None
        for written in (rows, outcomes):
            table.write(written)
            await asyncio.sleep(0)

    async def sweep(self) -> None:
        """Sweep all tables, and purge what the service purges every hour."""
        for table in self.tables.values():
            await table.sweep()
        self.sent.store.purge(P, b"smtp/", self._purge_ends.popleft())
        self._purge_ends.append(pending_key("smtp", self.sent.offset))

    def point(self, day: int) -> dict[str, Any]:
        """Return what is stored, and the memory of this process."""
        counts = {name: table.count() for name, table in self.tables.items()}
        for table in self.tables.values():
            table.store.database.flush(wait=True)
        files = (f.stat().st_size for f in self.directory.rglob("*") if f.is_file())
        return {
            "day": day,
            "orders": self._made,
            "open": len(self._open),
            **{name: rows for name, (rows, _) in counts.items()},
            "rows": sum(rows for rows, _ in counts.values()),
            "thousand_rows": sum(rows for rows, _ in counts.values()) // 1000,
            "keys": sum(keys for _, keys in counts.values()),
            "disk_mb": round(sum(files) / 2**20, 1),
            "rss_mb": rss_bytes(os.getpid()) >> 20,
        }


def _event(order: int, status: Status, items: tuple[Item, ...]) -> OrderStatusChanged:
    user = order % SHARDS
    return OrderStatusChanged(
        order_id=order, user=user, status=status, items=items, at=now()
    )


async def run(year: Year, *, swept: bool) -> list[dict[str, Any]]:
    """Live through the year; print and return its points."""
    points = []
    for number in range(HOURS):
        with patch("time.time", lambda at=BEGIN + HOUR * number: at.timestamp()):
            await year.hour(number)
            if swept:
                await year.sweep()
        if (number + 1) % (HOURS // POINTS) == 0:
            points.append(year.point((number + 1) // 24))
            print(
                json.dumps({"year": "swept" if swept else "unswept", **points[-1]}),
                flush=True,
            )
    return points


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.year", description=__doc__
    )
    parser.add_argument("--orders", type=int, default=200_000, help="in the year")
    parser.add_argument("--open", type=int, default=800, help="at once")
    parser.add_argument("--unswept", action="store_true", help="delete no row")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw curves there")
    args = parser.parse_args()
    at_once = patch.object(sweeper, "PASS_SECONDS", 0)
    with tempfile.TemporaryDirectory() as directory, at_once:
        points = uvloop.run(_main(args, Path(directory)))
    if args.plots is not None:
        draw("year", points, args.plots)


async def _main(args: argparse.Namespace, directory: Path) -> list[dict[str, Any]]:
    year = Year(args.orders, args.open, directory)
    return await run(year, swept=not args.unswept)


if __name__ == "__main__":
    main()
