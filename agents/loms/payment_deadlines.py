"""Deadlines of orders that await payment: a heap for each partition.

Recovery fills the heaps from the table; each order that begins to await payment is pushed.
So no scan looks for due orders. A due order is sent an expireOrder, and decides by the
clock of its records. An order that was paid stays in the heap until its time.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop, heappush

from agents.loms.order import Order
from schemas.order import ExpireOrder, Status

RETRY_INTERVAL = timedelta(seconds=1)
"""Until the next expireOrder of the same order: this clock may run ahead of the broker's,
or the first one is still in flight."""

_STATUS, _AT = b'"status":"', b'"at":"'
_AWAITING = f'{Status.AWAITING_PAYMENT}"'.encode()


def awaiting_since(row: bytes) -> datetime | None:
    """Return since when an order awaits payment; None if it does not.

    The row's last status is found by bytes: parsing a million rows would be a quarter of
    a recovery.
    """
    last = row.rfind(_STATUS) + len(_STATUS)
    if not row.startswith(_AWAITING, last):
        return None
    begin = row.index(_AT, last) + len(_AT)
    return datetime.fromisoformat(row[begin : row.index(b'"', begin)].decode())


@dataclass
class PaymentDeadlines:
    """Deadlines by partition; `find` returns the current row of an order."""

    time_to_pay: timedelta
    find: Callable[[int, str], Order | None]

    def __post_init__(self) -> None:
        self._due: defaultdict[int, list[tuple[float, str]]] = defaultdict(list)

    def schedule(self, partition: int, key: str, order: Order) -> None:
        """Push an order, if it awaits payment."""
        if order.status is Status.AWAITING_PAYMENT:
            self.schedule_at(partition, key, order.since)

    def schedule_at(self, partition: int, key: str, since: datetime) -> None:
        """Push an order that awaits payment since then."""
        deadline = (since + self.time_to_pay).timestamp()
        heappush(self._due[partition], (deadline, key))

    def clear(self) -> None:
        """Drop all deadlines: the partitions have changed."""
        self._due.clear()

    def overdue(self, now: datetime) -> Iterator[ExpireOrder]:
        """Yield an expireOrder for each due order; for one order at most once a second."""
        at, again = now.timestamp(), (now + RETRY_INTERVAL).timestamp()
        seconds = self.time_to_pay // timedelta(seconds=1)
        for partition, due in self._due.items():
            while due and due[0][0] <= at:
                _, key = heappop(due)
                order = self.find(partition, key)
                if order is not None and order.status is Status.AWAITING_PAYMENT:
                    heappush(due, (again, key))
                    yield ExpireOrder(order_id=order.order_id, unpaid_seconds=seconds)
