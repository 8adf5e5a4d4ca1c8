"""An aggregate on Kafka: batches of its request topic in, rows and messages out."""

import asyncio
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from aiokafka.structs import ConsumerRecord

from agents.aggregate import Aggregate
from agents.runtime.changelog import ChangelogProducer
from agents.runtime.collector import Deliveries, Publisher, RecordCollector, Worker
from agents.runtime.fail_stop import fail_stop
from agents.runtime.in_flight import InFlightBatches, PartitionRecords, unrevoked
from agents.runtime.producer import settled
from agents.runtime.router import RecordRouter, consumer_span
from agents.runtime.rows import Write
from agents.runtime.state_store import StateStore
from agents.runtime.transaction import Change, PartitionTransaction, fold
from topics.telemetry import tracing

ChangeListener = Callable[[Sequence[Change]], None]


class AggregateAgent:
    """Processes the records of an aggregate's request topic.

    Args:
        table: the Faust table that owns the rows.
        on_change: called with the rows that a transaction changed.
    """

    def __init__(
        self,
        worker: Worker,
        aggregate: Aggregate[Any, Any, Any],
        table: Any,
        on_change: ChangeListener | None = None,
    ) -> None:
        self._aggregate = aggregate
        self._producer = worker.batching_producer
        self._table = table
        self._pause_monitor = worker.pause_monitor
        self._on_change = on_change
        self._worker = worker
        self._publisher = Publisher(worker)
        self.batches = InFlightBatches()
        self._sent: asyncio.Future[None] | None = None
        self._traced = tracing.is_on()

    @property
    def store(self) -> StateStore:
        """The rows."""
        store: StateStore = self._table.data.rows
        return store

    async def run(self, stream: Any) -> None:
        """Process all polls of the topic."""
        async for event in stream.noack().events():
            records = await self.batches.acquire(event.message.value)
            self._pause_monitor.check()
            await self._process(event, records)

    async def on_recovered(self, partitions: set[int]) -> None:
        """Prepare the changelog for partitions whose rows are recovered."""
        await self._changelog.rewrite_superseded(partitions)

    async def _process(self, event: Any, records: int) -> None:
        """Fold the records and send their commands; the rest follows behind them."""
        fetched = unrevoked(event.message.value)
        out = RecordCollector(self._aggregate.requests)
        writes = [
            write for batch in fetched for write in self._process_partition(batch, out)
        ]
        self._pause_monitor.check()
        before = await self._publisher.send(out.commands)
        if self._sent is not None and not self._sent.done():
            before.add(self._sent)
        if before:
            self._sent = asyncio.get_running_loop().create_future()
            acks = self._follow(out, writes, before, self._sent)
        else:
            acks = _await_acks(out, await self._send_deferred(out, writes))
        self.batches.complete(event, fetched, acks, records)

    def _process_partition(
        self, batch: PartitionRecords, out: RecordCollector
    ) -> list[Write]:
        """Fold the records of one partition; return the rows to be written."""
        partition = batch.tp.partition
        if partition not in self.store.active:
            fail_stop("records of %s came before its rows were recovered", batch.tp)
        source_offset = self.store.offsets[partition].source_offset
        # A row is written behind the commands of all its records, so the commands of a
        # redelivered record are acknowledged. Sending them again could come after the
        # receiver's deduplication window.
        repeated = RecordCollector(
            out.source, replies_and_events=out.replies_and_events, spans=out.spans
        )
        writes: list[Write] = []
        transaction = PartitionTransaction(self._aggregate, self.store, partition)
        for record in batch.records:
            if record.offset < source_offset:
                self._process_record(transaction, repeated, record, redelivered=True)
            else:
                self._process_record(transaction, out, record, redelivered=False)
            if transaction.add_bytes(len(record.value or b"")):
                writes += self._flush(transaction, partition, record.offset + 1)
                transaction = PartitionTransaction(self._aggregate, self.store, partition)
        return writes + self._flush(transaction, partition, batch.end)

    def _process_record(
        self,
        transaction: PartitionTransaction,
        out: RecordCollector,
        record: ConsumerRecord,
        *,
        redelivered: bool,
    ) -> None:
        envelope = self._router.route(record, out)
        if envelope is None:
            return
        if self._traced:
            envelope = out.spans.enter_context(consumer_span(envelope, record))
        _, _, _, messages = fold(
            self._aggregate, transaction, envelope, redelivered=redelivered
        )
        for message in messages:
            out.add(message, envelope)

    def _flush(
        self, transaction: PartitionTransaction, partition: int, source_offset: int
    ) -> list[Write]:
        rows = transaction.encoded_changes()
        if not rows:
            return []
        write = self.store.put(partition, rows, source_offset)
        if self._on_change is not None:
            self._on_change(transaction.changes())
        return [write]

    async def _follow(
        self,
        out: RecordCollector,
        writes: list[Write],
        before: Deliveries,
        sent: asyncio.Future[None],
    ) -> None:
        """Send what follows the commands of this batch, behind that of the previous one."""
        await settled(before)
        deliveries = await self._send_deferred(out, writes)
        sent.set_result(None)
        await _await_acks(out, deliveries)

    async def _send_deferred(self, out: RecordCollector, writes: list[Write]) -> Deliveries:
        """Write rows, send replies and events, behind all commands up to here.

        Rows too: a row in the changelog implies that its commands are acknowledged. So a
        redelivered record needs no command.
        """
        written: Deliveries = {self._changelog.produce(write) for write in writes}
        return written | await self._publisher.send(out.replies_and_events)

    @cached_property
    def _router(self) -> RecordRouter:
        partitions, generation = self._worker.settings.partitions, self._worker.generation
        return RecordRouter(self._aggregate.requests, partitions, generation)

    @cached_property
    def _changelog(self) -> ChangelogProducer:
        return ChangelogProducer(self._producer, self._aggregate.changelog, self.store)


async def _await_acks(out: RecordCollector, deliveries: Deliveries) -> None:
    """Wait until the last records that a poll caused are acknowledged."""
    with out.spans:
        await settled(deliveries)
