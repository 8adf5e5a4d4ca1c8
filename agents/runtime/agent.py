"""An aggregate on Kafka: batches of its request topic in, rows and messages out."""

import asyncio
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from aiokafka.structs import ConsumerRecord

from agents.aggregate import Aggregate
from agents.runtime.changelog import ChangelogProducer
from agents.runtime.desk import RecordRouter
from agents.runtime.fold import PartitionTransaction
from agents.runtime.hop import consumer_span
from agents.runtime.open_batches import InFlightBatches
from agents.runtime.outbox import ProducerRecord, Publisher, RecordCollector, Deliveries
from agents.store import StateStore
from agents.worker.batches import PartitionRecords, ConsumerRecords
from agents.worker.failstop import PauseMonitor, fail_stop
from agents.worker.press import BatchingProducer
from topics import tracing

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
        self._producer: BatchingProducer = app.press
        self._table = table
        self._pause_monitor: PauseMonitor = app.heart
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
        catch: ConsumerRecords = event.message.value
        said = RecordCollector(self._aggregate.requests)
        writes = [
            write for batch in catch for write in self._process_partition(batch, said)
        ]
        self._pause_monitor.check()
        commands = await self._publisher.send(said.commands)
        self._deferred = asyncio.create_task(
            self._send_deferred(said.replies_and_events, writes, commands, self._deferred)
        )
        self._batches.complete(
            event, catch, self._await_acks(commands, self._deferred, said)
        )

    def _process_partition(
        self, batch: PartitionRecords, said: RecordCollector
    ) -> list[Write]:
        """Take each record's turn; return the rows to be written."""
        partition = batch.tp.partition
        if partition not in self.store.offsets:
            fail_stop("%s came before its rows were recovered", batch.tp)
        folded = self.store.offsets[partition].source_offset
        # Rows are written behind the commands of all records that they include: what those
        # commanded has arrived. A second time could find its first forgotten by a cart.
        again = RecordCollector(
            said.source, replies_and_events=said.replies_and_events, spans=said.spans
        )
        writes: list[Write] = []
        fold = PartitionTransaction(self._aggregate, self.store, partition)
        for record in batch.records:
            seen = record.offset < folded
            self._process_record(fold, again if seen else said, record, seen=seen)
            if fold.add_bytes(len(record.value or b"")):
                writes += self._flush(fold, partition, record.offset + 1)
                fold = PartitionTransaction(self._aggregate, self.store, partition)
        return writes + self._flush(fold, partition, batch.end)

    def _process_record(
        self,
        fold: PartitionTransaction,
        said: RecordCollector,
        record: ConsumerRecord,
        *,
        seen: bool,
    ) -> None:
        received = self._router.route(record, said)
        if received is None:
            return
        if self._traced:
            received = said.spans.enter_context(consumer_span(received, record))
        request, cause = received.request, received.cause
        keys = self._aggregate.identify(request, cause)
        state = fold.state(keys)
        after, messages = self._aggregate.step(state, request, cause, redelivered=seen)
        if after is not state:
            fold.put(keys, after)
        for message in messages:
            said.add(message, received)

    def _flush(
        self, fold: PartitionTransaction, partition: int, version: int
    ) -> list[Write]:
        rows = fold.encoded_changes()
        if not rows:
            return []
        self.store.put(partition, rows, version)
        if self._on_change is not None:
            self._on_change(partition, fold.changes())
        return [(partition, rows, version)]

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
        self, sent: Deliveries, saying: asyncio.Task[Deliveries], said: RecordCollector
    ) -> None:
        """Wait until all that a catch caused is acknowledged."""
        with said.spans:
            if sent := sent | await saying:
                await asyncio.wait(sent)

    @cached_property
    def _changelog(self) -> ChangelogProducer:
        return ChangelogProducer(self._producer, self._aggregate.changelog, self.store)

    async def on_recovered(self) -> None:
        """Get ready to write, once the rows are recovered."""
        await self._changelog.rewrite_superseded()
