"""The pending deliveries of one transport. No transport waits for another one."""

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
"""Attempts in flight get so long to end before partitions are given back."""

_CANCEL_AGAIN_SECONDS = 0.1

DeadLetter = Callable[[ConsumerRecord, str], Awaitable[None]]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeliveryContext:
    """What all transports share.

    Attributes:
        sent_log: has the pending rows.
        dead_letter: returns when the brokers have a refused event.
        heart: ends a worker that was frozen, before it sends anything.
        opted_out: the users who want no notices; looked up before each attempt.
        backoff: the delays, of an order and of a transport.
    """

    sent_log: SentLog
    dead_letter: DeadLetter
    pause_monitor: PauseMonitor
    opted_out: Container[int] = ()
    backoff: Backoff = DEFAULT_BACKOFF


class TransportDelivery:
    """Delivers the pending rows of one transport, at the pace of this transport.

    Orders are delivered side by side, the events of one order one after the other. An
    event leaves the table when it is delivered, refused or no longer wanted.
    """

    def __init__(self, transport: Transport, context: DeliveryContext) -> None:
        self._transport = transport
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
        """Begin nothing more; return when the attempts in flight have ended.

        Attempts that take too long are cancelled, and made again by the next owner.
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
            # Again and again: asyncio.wait_for of Python 3.11, by which aiosmtplib reads,
            # drops a cancellation that comes together with what is read.
            await asyncio.wait(self._attempts, timeout=_CANCEL_AGAIN_SECONDS)

    def added(self, partition: int, keys: Iterable[bytes]) -> None:
        """Look for the transport's new rows among these."""
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
        """Drop what rows that were complete at the last call have left behind.

        Between two calls lies more time than a worker can be frozen.
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
        except TransientError as failure:
            _raise_if_cancelled()
            self._fail(queue, pending, failure, generation)
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
        """Return the outcome of a delivery.

        Raises:
            Transient: it may be tried again.
        """
        self._context.pause_monitor.check()
        if pending.event.user in self._context.opted_out:
            metrics.count(self.name, OPTED_OUT)
            log_withheld(pending.event)
            return OPTED_OUT
        try:
            await self._transport.deliver(render(pending.event))
        except PermanentError as refusal:
            outcome = f"{self.name}: {refusal}"
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
        failure: TransientError,
        generation: int,
    ) -> None:
        metrics.count(self.name, "failed")
        wait, event = failure.wait_seconds, pending.event
        if failure.is_of_recipient:
            self._is_up()
        elif self._breaker.fail(event.order_id, generation, wait):
            _log.warning("event=transport-down transport=%s", self.name)
        _log.warning(
            'notice not delivered transport=%s event="%s" reason=%r again_in=%.1fs',
            self.name,
            event.event_id,
            str(failure),
            queue.retry(pending.key, wait),
        )

    def _is_up(self) -> None:
        if self._breaker.succeed():
            _log.info("event=transport-up transport=%s", self.name)

    def _keep(
        self, tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]
    ) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(partial(_end, tasks))


def _end(tasks: set[asyncio.Task[None]], task: asyncio.Task[None]) -> None:
    tasks.discard(task)
    if not task.cancelled() and task.exception() is not None:
        fail_stop("a delivery failed: %r", task.exception())


def _raise_if_cancelled() -> None:
    """End a task that was cancelled, although the transport dropped the cancellation."""
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError
