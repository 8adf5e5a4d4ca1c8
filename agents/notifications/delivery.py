"""Delivers the pending rows of each transport, independently of other transports."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Container, Coroutine, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiokafka.structs import ConsumerRecord

from agents.notifications import metrics
from agents.notifications.backoff import DEFAULT_BACKOFF, Backoff, CircuitBreaker
from agents.notifications.log_lines import log_withheld
from agents.notifications.notification import render
from agents.notifications.pending import (
    OPTED_OUT,
    SENT,
    PendingDelivery,
    order_of,
    prefix,
)
from agents.notifications.pending_queue import PendingQueue
from agents.notifications.sent_log import SentLog
from agents.notifications.transports import PermanentError, TransientError, Transport
from agents.runtime.collector import TRUNCATED
from agents.runtime.fail_stop import PauseMonitor, fail_stop
from topics.kafka.headers import LOG_CONTEXT

STOP_SECONDS = 1.0
"""Attempts in flight may take so long after the partitions are revoked."""

_CANCEL_AGAIN_SECONDS = 0.1

DeadLetter = Callable[[ConsumerRecord, str], Awaitable[None]]


@dataclass(frozen=True)
class DeliveryContext:
    """The objects that all transports share.

    Attributes:
        sent_log: has the pending rows.
        dead_letter: sends a refused event; returns when the brokers have it.
        pause_monitor: crashes a worker that was paused, before it sends a record.
        opted_out: the users who get no notifications; checked before each attempt.
        backoff: the delays of an order and of a transport.
    """

    sent_log: SentLog
    dead_letter: DeadLetter
    pause_monitor: PauseMonitor
    opted_out: Container[int] = ()
    backoff: Backoff = DEFAULT_BACKOFF


class TransportDelivery:
    """Delivers the pending rows of one transport.

    Orders are delivered concurrently, the events of one order in sequence. A pending row
    is removed when its event is delivered, refused, or its user has opted out.
    """

    def __init__(self, transport: Transport, context: DeliveryContext) -> None:
        self._transport = transport
        # One logger each, since repeated lines of a logger are suppressed.
        self._log = logging.getLogger(f"{__name__}.{transport.name}")
        self._context = context
        self._sent_log = context.sent_log
        self._backoff = context.backoff
        self._breaker = CircuitBreaker(self._backoff)
        self._pending: dict[int, int] = {}
        self._queues: dict[int, PendingQueue] = {}
        self._floors: dict[int, bytes] = {}
        self._loops: set[asyncio.Task[None]] = set()
        self._attempts: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """The transport's name."""
        return self._transport.name

    async def count(self, partition: int) -> None:
        """Count the pending rows of a partition, before `start`."""
        self._pending[partition] = await self._sent_log.count(partition, self.name)

    def start(self) -> None:
        """Deliver the pending rows of all partitions that were counted."""
        for partition in self._pending:
            read = partial(self._sent_log.keys_behind, partition, self.name)
            queue = PendingQueue(partition, read, order_of, self._backoff)
            self._queues[partition] = queue
            self._keep(self._loops, self._run(queue))

    async def stop(self) -> None:
        """Start no more attempts; return when those in flight have ended.

        Attempts that take too long are cancelled; the next owner repeats them.
        """
        for loop in self._loops:
            loop.cancel()
        self._pending.clear()
        self._queues.clear()
        self._floors.clear()
        if self._attempts:
            await asyncio.wait(self._attempts, timeout=STOP_SECONDS)
        while self._attempts:
            for attempt in self._attempts:
                attempt.cancel()
            # Repeated, since aiosmtplib reads by asyncio.wait_for: in Python 3.11 it drops
            # a cancellation that arrives together with the data.
            await asyncio.wait(self._attempts, timeout=_CANCEL_AGAIN_SECONDS)

    def added(self, partition: int, keys: Iterable[bytes]) -> None:
        """Count the transport's rows among new keys, and wake their queue."""
        queue, start = self._queues.get(partition), prefix(self.name)
        count = sum(key.startswith(start) for key in keys)
        if queue is not None and count:
            self._pending[partition] += count
            queue.wake()

    def measure(self) -> None:
        """Update the gauges."""
        oldest = (
            self._sent_log.time_of(q.partition, q.oldest) for q in self._queues.values()
        )
        since = min(filter(None, oldest), default=None)
        age = 0.0 if since is None else max(0.0, time.time() - since)
        metrics.PENDING.labels(self.name).set(sum(self._pending.values()))
        metrics.OLDEST_PENDING.labels(self.name).set(age)
        metrics.UP.labels(self.name).set(self._breaker.is_up)

    def purge(self) -> None:
        """Drop the tombstones of rows that were complete at the last call.

        The time between two calls is longer than a worker can be paused.
        """
        for partition, end in self._floors.items():
            self._sent_log.purge(partition, self.name, end)
        self._floors = {p: queue.floor for p, queue in self._queues.items() if queue.floor}

    async def _run(self, queue: PendingQueue) -> None:
        while True:
            key = await queue.next()
            generation = await self._breaker.acquire()
            self._keep(self._attempts, self._deliver(queue, key, generation))

    async def _deliver(self, queue: PendingQueue, key: bytes, generation: int) -> None:
        pending = self._sent_log.pending(queue.partition, key)
        LOG_CONTEXT.set(pending.record.headers)
        try:
            outcome = await self._attempt(pending)
        except TransientError as error:
            _raise_if_cancelled()
            self._fail(queue, pending, error, generation)
            return
        finally:
            self._breaker.release()
        if outcome not in (SENT, OPTED_OUT):
            reason = outcome + TRUNCATED if pending.is_cut else outcome
            await self._context.dead_letter(pending.record, reason)
        await self._sent_log.complete(pending, self.name, outcome)
        if queue.partition in self._pending:
            self._pending[queue.partition] -= 1
        queue.remove(key)

    async def _attempt(self, pending: PendingDelivery) -> str:
        """Attempt a delivery; return its outcome.

        Raises:
            TransientError: the attempt failed and can be repeated.
        """
        self._context.pause_monitor.check()
        if pending.event.user in self._context.opted_out:
            metrics.count(self.name, OPTED_OUT)
            log_withheld(pending.event)
            return OPTED_OUT
        try:
            await self._transport.deliver(render(pending.event))
        except PermanentError as error:
            outcome = f"{self.name}: {error}"
            metrics.count(self.name, "refused")
        else:
            outcome = SENT
            metrics.count(self.name, SENT)
        self._is_up()
        return outcome

    def _fail(
        self,
        queue: PendingQueue,
        pending: PendingDelivery,
        error: TransientError,
        generation: int,
    ) -> None:
        metrics.count(self.name, "failed")
        wait, event = error.wait_seconds, pending.event
        if error.is_of_recipient:
            self._is_up()
        elif self._breaker.fail(event.order_id, generation, wait):
            self._log.warning("event=transport-down transport=%s", self.name)
        self._log.warning(
            'event=delivery-failed transport=%s id="%s" reason=%r retry_in=%.1fs',
            self.name,
            event.event_id,
            str(error),
            queue.retry(pending.key, wait),
        )

    def _is_up(self) -> None:
        if self._breaker.succeed():
            self._log.info("event=transport-up transport=%s", self.name)

    def _keep(
        self, tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]
    ) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(partial(_end, tasks))


def _end(tasks: set[asyncio.Task[None]], task: asyncio.Task[None]) -> None:
    tasks.discard(task)
    if not task.cancelled() and task.exception() is not None:
        fail_stop("unexpected error of a delivery: %r", task.exception())


def _raise_if_cancelled() -> None:
    """Raise if the task was cancelled and the transport dropped the cancellation."""
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError
