"""Deletes orders for good, some days after their last status.

A slow pass over the stored rows finds them. An index would cost each order an entry, also
in a shop that keeps its orders for ever. An old order is sent a deleteOrder, and decides by
the clock of its records: this clock may run ahead of the broker's.

All records that changed the order are committed by then. So none of them is redelivered
after the deletion, when its reply could not be repeated.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agents.loms.order import Order
from agents.row_serde import RowSerde
from agents.runtime.rows import Row
from agents.runtime.state_store import StateStore
from schemas.order import DeleteOrder

PASS_SECONDS = 3600.0
"""Between the begins of two passes. The next one sends again what had no effect."""

MAX_ROWS = 250
"""Of one step: more would take too much of a worker's time, by reads and by deletions."""

_AT = b'"at":"'
_SERDE = RowSerde(Order)


@dataclass
class OrderRetention:
    """Finds the old orders of the partitions that a store has at the moment.

    Args:
        days: how long an order stays after its last status.
    """

    days: int
    _partitions: list[int] = field(default_factory=list)
    _cursor: bytes = b""
    _next_pass: float = 0.0

    def step(
        self, store: StateStore, committed: Callable[[int], int], now: datetime
    ) -> list[DeleteOrder]:
        """Take the next step of a pass, if one is due; return the requests to send.

        `committed` returns the committed offset of a partition of the requests.
        """
        if not self._partitions and time.monotonic() >= self._next_pass:
            self._next_pass = time.monotonic() + PASS_SECONDS
            self._partitions = [*store.active]
        if not self._partitions:
            return []
        partition, rows = self._partitions[-1], self._read(store)
        end = committed(partition)
        return [
            DeleteOrder(order_id=int(row.key), retention_days=self.days)
            for row in rows
            if row.source_offset <= end and self._is_old(row.value, now)
        ]

    def _read(self, store: StateStore) -> list[Row]:
        """Read the next rows of the pass; none of a partition that was revoked."""
        partition = self._partitions[-1]
        rows = []
        if partition in store.active:
            rows = store.page(partition, self._cursor, MAX_ROWS)
        if len(rows) == MAX_ROWS:
            self._cursor = rows[-1].key + b"\0"
        else:
            self._partitions.pop()
            self._cursor = b""
        return rows

    def _is_old(self, row: bytes | None, now: datetime) -> bool:
        """Return whether an order is to be deleted. Young orders are not parsed."""
        if row is None:
            return False
        try:
            begin = row.rindex(_AT) + len(_AT)
            last = datetime.fromisoformat(row[begin : row.index(b'"', begin)].decode())
            if now - last < timedelta(days=self.days):
                return False
            order: Order = _SERDE.deserialize(row)
        except ValueError:  # invalid: the next record of this order stops the worker
            return False
        return order.is_deletable(now, self.days)
