"""Records that take their time: each is an errand of its own, run side by side.

A batch is committed when all its errands are done. When partitions go, errands are given
up: whoever gets the partitions begins them anew.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.structs import ConsumerRecord

from agents.runtime.collector import Publisher, RecordCollector
from agents.runtime.consumer_span import consumer_span
from agents.runtime.deserializer import Envelope
from agents.runtime.fail_stop import PauseMonitor, fail_stop
from agents.runtime.in_flight import InFlightBatches
from agents.runtime.router import RecordRouter
from agents.worker.consumer import ConsumerRecords
from topics.kafka.headers import LOG_CONTEXT
from topics.topic import Topic

MAX_CONCURRENCY = 512
"""Errands under way at once (R10)."""

Send = Callable[[RecordCollector], Awaitable[None]]
Handler = Callable[[Envelope, ConsumerRecord, Send], Awaitable[None]]


class ConcurrentProcessor:
    """Serves the records of a topic, each at its own pace.

    Args:
        app: the Faust app that it runs in.
        topic: whose records.
        errand: carries out one record; what it sends has arrived when it returns.
    """

    def __init__(self, app: Any, topic: Topic, handler: Handler) -> None:
        self._topic = topic
        self._pause_monitor: PauseMonitor = app.pause_monitor
        self._handler = handler
        self._router = RecordRouter(topic, app.conf.cluster.partitions)
        self._publisher = Publisher(app)
        self._batches = InFlightBatches()
        self._capacity = asyncio.Semaphore(MAX_CONCURRENCY)
        self._epoch = 0
        self._in_flight: set[asyncio.Task[None]] = set()
        app.add_revocation_listener(self._on_partitions_revoked)

    async def run(self, stream: Any) -> None:
        """Serve for ever."""
        async for event in stream.noack().events():
            epoch = self._epoch
            fetched: ConsumerRecords = event.message.value
            event.message.incref(len(fetched) - 1)  # each batch is settled on its own
            for batch in fetched:
                await self._batches.acquire()
                self._pause_monitor.check()
                tasks = [
                    self._begin(record)
                    for record in batch.records
                    if await self._acquire(epoch)
                ]
                self._batches.complete(event, [batch], self._await_all(tasks, epoch))

    async def _acquire(self, epoch: int) -> bool:
        """Wait for room for one more errand; False if its partition has gone meanwhile."""
        if epoch != self._epoch:
            return False
        await self._capacity.acquire()
        if epoch == self._epoch:
            return True
        self._capacity.release()
        return False

    def _begin(self, record: ConsumerRecord) -> asyncio.Task[None]:
        out = RecordCollector(self._topic)
        envelope = self._router.route(record, out)
        work = self._send(out) if envelope is None else self._handle(envelope, record)
        task = asyncio.create_task(work)
        self._in_flight.add(task)
        task.add_done_callback(self._done)
        return task

    async def _handle(self, envelope: Envelope, record: ConsumerRecord) -> None:
        with consumer_span(envelope, record) as traced:
            LOG_CONTEXT.set(traced.reply_context.headers)
            await self._handler(traced, record, self._send)

    async def _send(self, out: RecordCollector) -> None:
        self._pause_monitor.check()
        if sent := await self._publisher.send([*out.commands, *out.replies_and_events]):
            await asyncio.wait(sent)

    async def _await_all(self, tasks: list[asyncio.Task[None]], epoch: int) -> None:
        """Wait for the end of a batch's errands; what was given up is not settled."""
        if tasks:
            await asyncio.wait(tasks)
        if epoch != self._epoch:
            raise asyncio.CancelledError

    def _done(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._capacity.release()
        if not task.cancelled() and task.exception() is not None:
            fail_stop("an errand failed: %r", task.exception())

    async def _on_partitions_revoked(self) -> None:
        self._epoch += 1
        for task in self._in_flight:
            task.cancel()
