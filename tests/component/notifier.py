"""The notification agent on the bench, whose broker acknowledges at once."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from faust.types import TP

from agents.notifications.backoff import Backoff
from agents.notifications.service import NotificationAgent
from agents.runtime.in_flight import PartitionRecords
from agents.settings import NotificationSettings
from schemas.contract import Item
from schemas.order import OrderStatusChanged, Status
from tests.component.worker_harness import Event, Stream, WorkerHarness, record
from tests.e2e.waiting import until
from tests.standins.mail_sink import MailSink
from tests.standins.webhook_sink import WebhookSink
from topics.catalog import ORDER_EVENTS, SENT_CHANGELOG

NOON = datetime.now(UTC).replace(microsecond=0) - timedelta(days=7)
SOON = Backoff(first=0.01, maximum=0.05)
NEVER = Backoff(first=3600, maximum=3600)
_POLL_SECONDS = 0.005


def event_of(order: int, status: Status = Status.NEW, user: int = 7) -> OrderStatusChanged:
    items = (Item(sku=1, count=2),)
    return OrderStatusChanged(
        order_id=order, user=user, status=status, items=items, at=NOON
    )


def smtp(mails: MailSink) -> str:
    """Return the URL of a mail server."""
    return f"smtp://127.0.0.1:{mails.port}"


def posted(hook: WebhookSink) -> list[str]:
    """Return the ids of the events of all posts."""
    return [post.headers["Idempotency-Key"] for post in hook.posted]


def mailed(mails: MailSink) -> list[str]:
    """Return the ids of all mails."""
    return [mail.message["Message-ID"] for mail in mails.mails]


class Notifier:
    """The agent with some transports, and a broker that acknowledges at once."""

    def __init__(
        self, harness: WorkerHarness, backoff: Backoff = SOON, **settings: Any
    ) -> None:
        transports = NotificationSettings(**settings)
        self.agent = NotificationAgent(harness.service, transports, backoff)
        self.store = harness.open(self.agent.sent_log.table)
        self._bench = harness
        self._stream = Stream()
        self._offset = 0

    async def start(self) -> None:
        """Start the deliveries and the processing."""
        await self.agent.start(self.store.active)
        self._bench.run(self.agent.run(self._stream))
        self._bench.run(self._acknowledge())

    async def read(self, *events: OrderStatusChanged) -> Event:
        """Process events as one batch; return when they can be committed."""
        return await self._read([record(each, **self._place()) for each in events])

    async def read_record(self, value: bytes, **different: Any) -> Event:
        """Process a record of another producer."""
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
        """Wait until a condition is true."""
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
            await asyncio.sleep(_POLL_SECONDS)


StartNotifier = Callable[..., Awaitable[Notifier]]
