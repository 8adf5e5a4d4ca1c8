"""Deadlines of orders that await payment, from an index of their table.

The index orders them by the time since when they await payment. Its entries are stored
and deleted with the rows, so a start needs no scan for them. A due order is sent an
expireOrder, and decides by the clock of its records.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile

from agents.runtime.layout import index_value
from agents.runtime.state_store import StateStore
from schemas.order import ExpireOrder, Status

RETRY_INTERVAL = timedelta(seconds=1)
"""Until the next expireOrder of the same order: this clock may run ahead of the broker's,
or the first one is still in flight."""

_STATUS, _AT = b'"status":"', b'"at":"'
_AWAITING = _STATUS + f'{Status.AWAITING_PAYMENT}"'.encode()


def payment_index(row: bytes) -> tuple[bytes, bool] | None:
    """Return since when an order awaits or awaited payment, and whether it does now.

    None: it has not awaited payment. The status is found by bytes: parsing would be a
    quarter of a recovery.
    """
    awaiting = row.find(_AWAITING)
    if awaiting < 0:
        return None
    begin = row.index(_AT, awaiting) + len(_AT)
    since = datetime.fromisoformat(row[begin : row.index(b'"', begin)].decode())
    return index_value(since), awaiting == row.rfind(_STATUS)


@dataclass
class PaymentDeadlines:
    """The deadlines of the partitions that a store has at the moment."""

    time_to_pay: timedelta
    _sent: dict[tuple[int, bytes], datetime] = field(default_factory=dict)
    """The next expireOrder of index entries by partition, soonest first."""

    def overdue(self, store: StateStore, now: datetime) -> Iterator[ExpireOrder]:
        """Yield an expireOrder for each due order; for one order at most once a second."""
        seconds = self.time_to_pay // timedelta(seconds=1)
        for partition, entry in self._due(store, now):
            if store.is_current(partition, entry):
                self._sent[partition, entry] = now + RETRY_INTERVAL
                order_id = int(entry.partition(b"/")[2])
                yield ExpireOrder(order_id=order_id, unpaid_seconds=seconds)

    def _due(self, store: StateStore, now: datetime) -> Iterator[tuple[int, bytes]]:
        sent = list(takewhile(lambda sent: sent[1] <= now, self._sent.items()))
        for (partition, entry), _ in sent:
            del self._sent[partition, entry]
            if partition in store.active:
                yield partition, entry
        last = index_value(now - self.time_to_pay)
        for partition in store.active:
            for entry in store.due(partition, last):
                if (partition, entry) not in self._sent:
                    yield partition, entry
