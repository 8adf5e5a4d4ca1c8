"""Processes the records of a topic side by side, for handlers that wait for other systems.

A batch is committed when all its records are handled. Handlers of revoked partitions are
cancelled: the new owner handles those records again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any

from aiokafka.structs import ConsumerRecord

from agents.aggregate import Refusal
from agents.runtime.collector import Publisher, RecordCollector, Worker
from agents.runtime.deserializer import Envelope
from agents.runtime.fail_stop import BackgroundTasks
from agents.runtime.in_flight import ConsumerRecords, InFlightBatches, PartitionRecords
from agents.runtime.router import RecordRouter, consumer_span
from schemas.contract import Contract
from topics.kafka.headers import LOG_CONTEXT
from topics.topic import Topic

MAX_CONCURRENCY = 512  # records that are handled at the same time
Handler = Callable[[Contract], Awaitable[Contract]]
"""Returns the reply to a request, or raises a Refusal, which is the reply then."""


class ConcurrentProcessor:
    """Handles the records of a topic concurrently.

    Args:
        handler: handles one request.
    """

    def __init__(self, worker: Worker, topic: Topic, handler: Handler) -> None:
        self._topic = topic
        self._pause_monitor = worker.pause_monitor
        self._handler = handler
        self._worker = worker
        self._publisher = Publisher(worker)
        self.batches = InFlightBatches()
        self._capacity = asyncio.Semaphore(MAX_CONCURRENCY)
        self._in_flight = BackgroundTasks()
        self._batches: dict[asyncio.Task[None], PartitionRecords] = {}
        worker.add_revocation_listener(self._on_partitions_revoked)

    async def run(self, stream: Any) -> None:
        """Process all polls of the topic."""
        async for event in stream.noack().events():
            fetched: ConsumerRecords = event.message.value
            event.message.incref(len(fetched) - 1)  # each batch completes on its own
            for batch in fetched:
                records = await self.batches.acquire([batch])
                self._pause_monitor.check()
                tasks = await self._start_all(batch)
                acks = _await_all(batch, tasks)
                self.batches.complete(event, [batch], acks, records)

    async def _start_all(self, batch: PartitionRecords) -> list[asyncio.Task[None]]:
        """Start handlers as capacity permits; no more once the partition is revoked."""
        tasks = []
        for record in batch.records:
            await self._capacity.acquire()
            if batch.revoked:
                self._capacity.release()
                break
            tasks.append(task := self._start(record))
            self._batches[task] = batch
        return tasks

    def _start(self, record: ConsumerRecord) -> asyncio.Task[None]:
        out = RecordCollector(self._topic)
        envelope = self._router.route(record, out)
        work = self._send(out) if envelope is None else self._handle(envelope, record)
        task = self._in_flight.start(work)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[None]) -> None:
        self._batches.pop(task, None)
        self._capacity.release()

    async def _handle(self, envelope: Envelope, record: ConsumerRecord) -> None:
        with consumer_span(envelope, record) as traced:
            LOG_CONTEXT.set(traced.reply_context.headers)
            try:
                reply = await self._handler(traced.request)
            except Refusal as refusal:
                reply = refusal.reply
            out = RecordCollector(self._topic)
            out.add(reply, traced)
            await self._send(out)

    async def _send(self, out: RecordCollector) -> None:
        self._pause_monitor.check()
        if deliveries := await self._publisher.send(out.records):
            await asyncio.wait(deliveries)

    @cached_property
    def _router(self) -> RecordRouter:
        partitions, generation = self._worker.settings.partitions, self._worker.generation
        return RecordRouter(self._topic, partitions, generation)

    async def _on_partitions_revoked(self) -> None:
        for task, batch in self._batches.items():
            if batch.revoked:
                task.cancel()


async def _await_all(batch: PartitionRecords, tasks: list[asyncio.Task[None]]) -> None:
    """Wait for a batch's handlers; a batch of a revoked partition is not committed."""
    if tasks:
        await asyncio.wait(tasks)
    if batch.revoked:
        raise asyncio.CancelledError
