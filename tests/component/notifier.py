"""The agent of notifications on the bench: its records are acknowledged as they come."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from faust.types import TP

from agents.notifications.backoff import Backoff
from agents.notifications.service import NotificationAgent
from agents.notifications.settings import NotificationSettings
from agents.runtime.in_flight import PartitionRecords
from schemas.contract import Item
from schemas.order import OrderStatusChanged, Status
from tests.component.bench import Bench, Event, Stream, record
from tests.e2e.waiting import until
from topics.catalog import ORDER_EVENTS, SENT_CHANGELOG

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SOON = Backoff(first=0.01, maximum=0.05)
_LOOK_SECONDS = 0.005


def fact(order: int, status: Status = Status.NEW, user: int = 7) -> OrderStatusChanged:
    items = (Item(sku=1, count=2),)
    return OrderStatusChanged(
        order_id=order, user=user, status=status, items=items, at=NOON
    )


class Notifier:
    """The agent with some transports, and a broker that acknowledges at once.

    Args:
        bench: on which it runs.
        backoff: between attempts.
        settings: its transports.
    """

    def __init__(self, bench: Bench, backoff: Backoff = SOON, **settings: Any) -> None:
        ways = NotificationSettings(**settings)
        self.agent = NotificationAgent(bench.service, ways, backoff)
        self.store = bench.open(self.agent.sent_log.table)
        self._bench = bench
        self._stream = Stream()
        self._offset = 0

    async def start(self) -> None:
        """Start to deliver, and to read."""
        await self.agent.start()
        self._bench.run(self.agent.run(self._stream))
        self._bench.run(self._acknowledge())

    async def read(self, *facts: OrderStatusChanged) -> Event:
        """Have events read as one batch; return when they may be committed."""
        return await self._read([record(each, **self._place()) for each in facts])

    async def read_record(self, value: bytes, **different: Any) -> Event:
        """Have a record read that is not made by us."""
        place = {"topic": ORDER_EVENTS.name, **self._place()}
        return await self._read([record(value, **place, **different)])

    def _place(self) -> dict[str, int]:
        self._offset += 1
        return {"partition": 0, "offset": self._offset - 1}

    async def _read(self, records: list[Any]) -> Event:
        event = Event([PartitionRecords(TP(ORDER_EVENTS.name, 0), records)])
        self._stream.queue.put_nowait(event)
        await self.until(lambda: event.settled)
        return event

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is so."""
        await until(condition, "a condition of the test")

    @property
    def rows(self) -> dict[str, Any]:
        """The rows as the changelog has them: the last record of each key."""
        newest = {row.key: row.value for row in self._bench.sent(SENT_CHANGELOG.name)}
        return {key.decode(): json.loads(row) for key, row in newest.items() if row}

    @property
    def pending(self) -> list[str]:
        """The keys of all pending rows."""
        return [key for key in self.rows if "/" in key]

    @property
    def outcomes(self) -> dict[str, str]:
        """The outcome of each event."""
        return dict(self._outcomes())

    def _outcomes(self) -> Iterator[tuple[str, str]]:
        for key, row in self.rows.items():
            if "/" not in key:
                yield key, row["outcome"]

    async def _acknowledge(self) -> None:
        while True:
            await self._bench.arrive()
            await asyncio.sleep(_LOOK_SECONDS)
