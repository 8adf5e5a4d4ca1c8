"""An aggregate on Kafka: batches of its request topic in, rows and messages out."""

import asyncio
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from aiokafka.structs import ConsumerRecord

from agents.aggregate import Aggregate
from agents.runtime.changelog import ChangelogProducer
from agents.runtime.collector import Deliveries, ProducerRecord, Publisher, RecordCollector
from agents.runtime.consumer_span import consumer_span
from agents.runtime.fail_stop import PauseMonitor, fail_stop
from agents.runtime.in_flight import InFlightBatches
from agents.runtime.producer import BatchingProducer
from agents.runtime.router import RecordRouter
from agents.runtime.state_store import StateStore
from agents.runtime.transaction import PartitionTransaction
from agents.worker.consumer import ConsumerRecords, PartitionRecords
from topics.telemetry import tracing

Write = tuple[int, dict[bytes, bytes | None], int]
"""A partition, its rows, and the version that they are of."""

ChangeListener = Callable[[int, Sequence[tuple[str, Any]]], None]


class AggregateAgent:
    """Serves the records of an aggregate's request topic.

    Args:
        app: the Faust app that it runs in.
        aggregate: whose rules decide.
        table: the Faust table that owns the rows.
        watch: is told the rows that each run of records touched, with the partition.
    """

    def __init__(
        self,
        app: Any,
        aggregate: Aggregate[Any, Any, Any],
        table: Any,
        on_change: ChangeListener | None = None,
    ) -> None:
        self._aggregate = aggregate
        self._producer: BatchingProducer = app.batching_producer
        self._table = table
        self._pause_monitor: PauseMonitor = app.pause_monitor
        self._on_change = on_change
        self._router = RecordRouter(aggregate.requests, app.conf.cluster.partitions)
        self._publisher = Publisher(app)
        self._batches = InFlightBatches()
        self._deferred: asyncio.Task[Deliveries] | None = None
        self._traced = tracing.is_on()

    async def run(self, stream: Any) -> None:
        """Serve for ever."""
        async for event in stream.noack().events():
            await self._batches.acquire()
            self._pause_monitor.check()
            await self._process(event)

    @property
    def store(self) -> StateStore:
        """The rows."""
        store: StateStore = self._table.data.rows
        return store

    async def _process(self, event: Any) -> None:
        """Fold what was fetched and send its commands; the rest follows behind them."""
        fetched: ConsumerRecords = event.message.value
        out = RecordCollector(self._aggregate.requests)
        writes = [
            write for batch in fetched for write in self._process_partition(batch, out)
        ]
        self._pause_monitor.check()
        commands = await self._publisher.send(out.commands)
        self._deferred = asyncio.create_task(
            self._send_deferred(out.replies_and_events, writes, commands, self._deferred)
        )
        self._batches.complete(
            event, fetched, self._await_acks(commands, self._deferred, out)
        )

    def _process_partition(
        self, batch: PartitionRecords, out: RecordCollector
    ) -> list[Write]:
        """Take each record's turn; return the rows to be written."""
        partition = batch.tp.partition
        if partition not in self.store.offsets:
            fail_stop("%s came before its rows were recovered", batch.tp)
        folded = self.store.offsets[partition].source_offset
        # Rows are written behind the commands of all records that they include: what those
        # commanded has arrived. A second time could find its first forgotten by a cart.
        repeated = RecordCollector(
            out.source, replies_and_events=out.replies_and_events, spans=out.spans
        )
        writes: list[Write] = []
        transaction = PartitionTransaction(self._aggregate, self.store, partition)
        for record in batch.records:
            redelivered = record.offset < folded
            self._process_record(
                transaction,
                repeated if redelivered else out,
                record,
                redelivered=redelivered,
            )
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
        request, cause = envelope.request, envelope.cause
        keys = self._aggregate.identify(request, cause)
        state = transaction.state(keys)
        after, messages = self._aggregate.step(
            state, request, cause, redelivered=redelivered
        )
        if after is not state:
            transaction.put(keys, after)
        for message in messages:
            out.add(message, envelope)

    def _flush(
        self, transaction: PartitionTransaction, partition: int, source_offset: int
    ) -> list[Write]:
        rows = transaction.encoded_changes()
        if not rows:
            return []
        self.store.put(partition, rows, source_offset)
        if self._on_change is not None:
            self._on_change(partition, transaction.changes())
        return [(partition, rows, source_offset)]

    async def _send_deferred(
        self,
        rest: list[ProducerRecord],
        writes: list[Write],
        commands: Deliveries,
        before: asyncio.Task[Deliveries] | None,
    ) -> Deliveries:
        """Write rows, send replies and facts: behind all commands up to here (R9).

        Rows too: what lies in the changelog has been said, so that a record that comes
        again after a crash can be answered without anything being said late.
        """
        if commands:
            await asyncio.wait(commands)
        if before is not None and not before.done():
            await before
        written: Deliveries = {self._changelog.produce(*write) for write in writes}
        return written | await self._publisher.send(rest)

    async def _await_acks(
        self, sent: Deliveries, saying: asyncio.Task[Deliveries], out: RecordCollector
    ) -> None:
        """Wait until all that a catch caused is acknowledged."""
        with out.spans:
            if sent := sent | await saying:
                await asyncio.wait(sent)

    @cached_property
    def _changelog(self) -> ChangelogProducer:
        return ChangelogProducer(self._producer, self._aggregate.changelog, self.store)

    async def on_recovered(self) -> None:
        """Get ready to write, once the rows are recovered."""
        await self._changelog.rewrite_superseded()
