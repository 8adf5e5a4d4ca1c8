"""Delivers the pending rows of each transport, independently of other transports.

A reader for each partition starts an attempt for each order, in log order. The next row of
an order follows when its row before is complete, however often that takes. Each attempt
needs a slot of the transport's circuit breaker, and the reader waits for the slot of each
order that it starts. So the rows of a transport that is down stay in the table.
"""

import asyncio
import logging
from collections.abc import Container, Iterable

from prometheus_client import Counter, Gauge

from agents.notifications.backoff import Backoff, CircuitBreaker
from agents.notifications.pending import PendingRows
from agents.notifications.sent_log import OPTED_OUT, SENT, SentLog
from agents.notifications.transports import PermanentError, TransientError, Transport
from agents.runtime.fail_stop import BackgroundTasks, PauseMonitor
from schemas.order import OrderStatusChanged
from topics.kafka.headers import LOG_CONTEXT

STOP_SECONDS = 1.0
"""Attempts in flight may take so long after the partitions are revoked."""

_CANCEL_AGAIN_SECONDS = 0.1

NOTICES = Counter(
    "notices_total",
    "Attempts by outcome: sent, refused, opted out, too old, or failed and retried.",
    ["transport", "outcome"],
)
PENDING = Gauge(
    "notices_pending",
    "Notifications of this worker's partitions that a transport has not delivered yet.",
    ["transport"],
)
OLDEST_PENDING = Gauge(
    "notices_oldest_pending_seconds",
    "Age of the oldest event that a transport has not delivered yet; 0 without one.",
    ["transport"],
)
UP = Gauge(
    "notices_transport_up",
    "0 if the last answer of a transport was a failure of the transport itself.",
    ["transport"],
)

_log = logging.getLogger(__name__)


class TransportDelivery:
    """Delivers the pending rows of one transport."""

    def __init__(
        self,
        transport: Transport,
        sent_log: SentLog,
        pause_monitor: PauseMonitor,
        opted_out: Container[int],
        backoff: Backoff,
    ) -> None:
        self.name = transport.name
        self._transport = transport
        self._sent_log = sent_log
        self._pause_monitor = pause_monitor
        self._opted_out = opted_out
        self._backoff = backoff
        self._breaker = CircuitBreaker(backoff)
        self._partitions: dict[int, PendingRows] = {}
        self._loops = BackgroundTasks()
        self._attempts = BackgroundTasks()

    def start(self, partitions: Iterable[int]) -> None:
        """Deliver the pending rows of partitions."""
        for partition in partitions:
            self._loops.start(self._read(partition))

    async def stop(self) -> None:
        """Start no more attempts; return when those in flight have ended.

        Attempts that take too long are cancelled; the next owner repeats them.
        """
        for loop in self._loops:
            loop.cancel()
        self._partitions.clear()
        if self._attempts:
            await asyncio.wait(self._attempts, timeout=STOP_SECONDS)
        while self._attempts:
            for attempt in self._attempts:
                attempt.cancel()
            # Repeated, since aiosmtplib reads by asyncio.wait_for: in Python 3.11 it drops
            # a cancellation that arrives together with the data.
            await asyncio.wait(self._attempts, timeout=_CANCEL_AGAIN_SECONDS)

    def added(self, partition: int, keys: Iterable[bytes]) -> None:
        """Count the transport's rows among new keys, and wake their reader."""
        rows, start = self._partitions.get(partition), f"{self.name}/".encode()
        if rows and (count := sum(key.startswith(start) for key in keys)):
            rows.count += count
            rows.added.set()

    def measure(self) -> None:
        """Update the gauges."""
        partitions = self._partitions.values()
        PENDING.labels(self.name).set(sum(rows.count for rows in partitions))
        OLDEST_PENDING.labels(self.name).set(max((r.age() for r in partitions), default=0))
        UP.labels(self.name).set(self._breaker.is_up)

    def purge(self) -> None:
        """Drop the tombstones of rows that are complete for some time."""
        for rows in self._partitions.values():
            rows.purge()

    async def _read(self, partition: int) -> None:
        """Start a task for each order that has pending rows."""
        rows = PendingRows(self._sent_log.store, self.name, partition)
        self._partitions[partition] = rows
        await rows.count_stored()
        async for order in rows.new_orders():
            await self._start_attempt(rows, order, 0)

    async def _start_attempt(self, rows: PendingRows, order: int, failures: int) -> None:
        generation = await self._breaker.acquire()
        self._attempts.start(self._attempt(rows, order, failures, generation))

    async def _attempt(
        self, rows: PendingRows, order: int, failures: int, generation: int
    ) -> None:
        """Attempt the first row of an order; then continue with the order."""
        pending = rows.first(order)
        LOG_CONTEXT.set(pending.record.headers)
        try:
            self._pause_monitor.check()
            outcome = await self._outcome(pending.event)
        except TransientError as error:
            _raise_if_cancelled()
            delay = self._fail(pending.event, error, generation, failures + 1)
            loop = asyncio.get_running_loop()
            loop.call_later(delay, self._continue, rows, order, failures + 1)
            return
        finally:
            self._breaker.release()
        await self._sent_log.complete(pending, self.name, outcome)
        if rows.complete(order):
            self._continue(rows, order, 0)

    def _continue(self, rows: PendingRows, order: int, failures: int) -> None:
        if self._partitions.get(rows.partition) is rows:  # else it was revoked
            self._loops.start(self._start_attempt(rows, order, failures))

    async def _outcome(self, event: OrderStatusChanged) -> str:
        """Attempt a delivery; return its outcome.

        Raises:
            TransientError: the attempt failed and can be repeated.
        """
        if event.user in self._opted_out:
            log_notification(event, self.name, OPTED_OUT)
            return OPTED_OUT
        outcome, kind = SENT, SENT
        try:
            await self._transport.deliver(event)
        except PermanentError as error:
            outcome, kind = f"{self.name}: {error}", "refused"
        NOTICES.labels(self.name, kind).inc()
        self._succeed()
        return outcome

    def _fail(
        self,
        event: OrderStatusChanged,
        error: TransientError,
        generation: int,
        failures: int,
    ) -> float:
        """Record a failure; return the delay before the next attempt."""
        NOTICES.labels(self.name, "failed").inc()
        delay = max(error.wait_seconds, self._backoff.delay(failures))
        if error.is_of_recipient:
            self._succeed()
        elif self._breaker.fail(event.order_id, generation, error.wait_seconds):
            _log.warning("event=transport-down transport=%s", self.name)
        text = 'event=delivery-failed transport=%s id="%s" reason=%r retry_in=%.1fs'
        _log.warning(text, self.name, event.event_id, str(error), delay)
        return delay

    def _succeed(self) -> None:
        if self._breaker.succeed():
            _log.info("event=transport-up transport=%s", self.name)


def log_notification(event: OrderStatusChanged, transport: str, outcome: str) -> None:
    """Log and count a status change of an order, or why it is not notified."""
    NOTICES.labels(transport, outcome).inc()
    text = 'event=notification id="%s" order=%d user=%d status="%s"'
    if outcome != SENT:
        text = f'event=not-notified{text.partition("notification")[2]} reason="{outcome}"'
    _log.info(text, event.event_id, event.order_id, event.user, event.status)


def _raise_if_cancelled() -> None:
    """Raise if the task was cancelled and the transport dropped the cancellation."""
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError
