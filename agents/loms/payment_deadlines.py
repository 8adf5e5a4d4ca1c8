"""Asking after the orders that nobody paid in time.

A heap for each partition, filled from the table when it is recovered and from every order
that begins to await payment: nothing is ever scanned for what is due. It only asks; the
order decides, by the clock of its records. An order that was paid meanwhile is still in
the heap until its time, and then dropped.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop, heappush

from agents.loms.order import Order
from schemas.order import ExpireOrder, Status

RETRY_INTERVAL = timedelta(seconds=1)
"""When a clock was ahead of the broker's, or the first question is still under way."""

Find = Callable[[int, str], Order | None]

_STATUS, _AT = b'"status":"', b'"at":"'
_AWAITING = f'{Status.AWAITING_PAYMENT}"'.encode()


def awaiting_since(row: bytes) -> datetime | None:
    """Return since when an order awaits payment; None if it does not.

    It is told by the last step in the row's JSON. To parse a million rows for its sake
    would be a quarter of a recovery.
    """
    last = row.rfind(_STATUS) + len(_STATUS)
    if not row.startswith(_AWAITING, last):
        return None
    begin = row.index(_AT, last) + len(_AT)
    return datetime.fromisoformat(row[begin : row.index(b'"', begin)].decode())


@dataclass
class PaymentDeadlines:
    """When orders that await payment are to be asked after, by partition.

    Args:
        time_to_pay: how long an order may await payment.
        find: returns an order as it stands now.
    """

    time_to_pay: timedelta
    find: Find

    def __post_init__(self) -> None:
        self._due: defaultdict[int, list[tuple[float, str]]] = defaultdict(list)

    def schedule(self, partition: int, key: str, order: Order) -> None:
        """Take an order in, if it awaits payment."""
        if order.status is Status.AWAITING_PAYMENT:
            self.schedule_at(partition, key, order.since)

    def schedule_at(self, partition: int, key: str, since: datetime) -> None:
        """Take in an order that awaits payment since then."""
        deadline = (since + self.time_to_pay).timestamp()
        heappush(self._due[partition], (deadline, key))

    def clear(self) -> None:
        """Begin anew: the partitions have changed."""
        self._due.clear()

    def overdue(self, now: datetime) -> Iterator[ExpireOrder]:
        """Yield a question for each order whose time is over; once a second at most."""
        at, again = now.timestamp(), (now + RETRY_INTERVAL).timestamp()
        for partition, due in self._due.items():
            while due and due[0][0] <= at:
                _, key = heappop(due)
                order = self.find(partition, key)
                if order is not None and order.status is Status.AWAITING_PAYMENT:
                    heappush(due, (again, key))
                    yield self._expiration(order)

    def _expiration(self, order: Order) -> ExpireOrder:
        seconds = self.time_to_pay // timedelta(seconds=1)
        return ExpireOrder(order_id=order.order_id, unpaid_seconds=seconds)
