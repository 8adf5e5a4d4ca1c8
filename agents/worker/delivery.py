"""Delivers a poll's records of a topic as one Faust event.

Faust spends half a millisecond on an event. Work done once per event runs with cold
caches, which dominates when many partitions bring few records each. Faust also delivered
records after a seek that were fetched before it. Here records fetched in an earlier
assignment of a partition are dropped.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import faust
from aiokafka.errors import ConsumerStoppedError
from aiokafka.structs import ConsumerRecord
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.utils.futures import notify

from agents.runtime import metrics
from agents.runtime.in_flight import ConsumerRecords, PartitionRecords
from agents.worker.clients import EventLoopConsumerThread
from agents.worker.fetcher import SessionFetcher

POLL_SECONDS = 0.1
MAX_CHUNK_BYTES = 32 * 2**10


class RawRecordsSchema(faust.Schema):
    """Passes records to their agent undecoded: the runtime decodes them."""

    def compile(self, app: Any, **_: Any) -> Callable[..., Any]:
        """Return the decoder of a topic's messages."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG001
            return faust.Event(app, None, message.value, (), message)

        return decode


@dataclass(eq=False)
class ServedPartition:
    """A partition whose records are delivered to its agent.

    Attributes:
        position: the offset of the next record to be delivered.
        acknowledged: the offset up to which it can be committed.
        committed: the offset up to which it is.
        acknowledged_at: when the last record below `acknowledged` was written, in
            milliseconds; None: none was processed yet.
        committed_at: the same for `committed`.
        batches: delivered, and not acknowledged with all before them; in log order.
    """

    position: int
    acknowledged: int
    committed: int
    batches: deque[PartitionRecords] = field(default_factory=deque)
    acknowledged_at: int | None = None
    committed_at: int | None = None

    def advance(self) -> bool:
        """Advance over acknowledged batches; return whether there is more to commit."""
        while self.batches and self.batches[0].acknowledged:
            batch = self.batches.popleft()
            self.acknowledged = batch.end
            self.acknowledged_at = batch.records[-1].timestamp
        return self.acknowledged > self.committed


class DeliveringConsumer(driver.Consumer):
    """Faust's consumer, with its drain loop replaced.

    Attributes:
        waiting: the first partition of a poll that waits for its agent's capacity.
    """

    waiting: TP | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._served: dict[TP, ServedPartition] = {}
        super().__init__(*args, **kwargs)

    def ack(self, message: Any) -> bool:
        """Record that an agent is done; commits depend on the batch being acknowledged."""
        if message.acked:
            return False
        message.acked = True
        for batch in message.value:
            batch.done = True
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)
        return True

    async def verify_all_partitions_active(self) -> None:
        """Do nothing: metrics and `status` report each partition's lag.

        Faust checks for events of each partition. Here one event stands for several
        partitions. So after five minutes Faust would log errors for ever.
        """

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                await self._drain_once()
        except (asyncio.CancelledError, *self.consumer_stopped_errors):
            if not self.transport.app.should_stop:
                raise

    async def _drain_once(self) -> None:
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
            return
        served = dict(self._served)
        if active := served.keys() - self._buffered_partitions:
            await self._deliver(served, await self._poll(active))
            await asyncio.sleep(0)
        else:
            await self.sleep(0.05)

    async def _poll(self, active: set[TP]) -> Mapping[TP, list[ConsumerRecord]]:
        """Return fetched records; Faust's way to them has five layers."""
        consumer = self._thread._ensure_consumer()
        fetcher: SessionFetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError
        return await fetcher.poll(active, POLL_SECONDS, consumer._max_poll_records)

    async def _deliver(
        self,
        served: Mapping[TP, ServedPartition],
        fetched: Mapping[TP, list[ConsumerRecord]],
    ) -> None:
        """Deliver records; `served` has the partitions as they were before the fetch."""
        topics: defaultdict[str, list[tuple[TP, list[ConsumerRecord]]]] = defaultdict(list)
        layout = self.app.layout
        for tp, records in fetched.items():
            start = served[tp].position
            fresh = [record for record in records if record.offset >= start]
            if layout.ignored:
                fresh = [record for record in fresh if not layout.ignores(record)]
            topics[tp.topic].append((tp, fresh))
        for topic, partitions in topics.items():
            for chunk in _chunks(partitions):
                batches = [b for b in chunk if self._served.get(b.tp) is served[b.tp]]
                if not batches:
                    continue
                metrics.count_poll(topic, sum([len(batch.records) for batch in batches]))
                for batch in batches:
                    served[batch.tp].batches.append(batch)
                    served[batch.tp].position = batch.end
                await self._dispatch(batches)

    async def _dispatch(self, consumer_records: ConsumerRecords) -> None:
        tp, last = consumer_records[0].tp, consumer_records[0].records[-1]
        message = self._to_message(tp, last)
        message.value = consumer_records
        channels = self.app.topics._tp_index.get(tp, ())
        if any(channel.queue.full() for channel in channels):
            self.waiting = tp
            await self.wait_first(self.callback(message), self.suspend_flow.wait())
            self.waiting = None
        else:
            await self.callback(message)

    def _new_consumer_thread(self) -> EventLoopConsumerThread:
        loop = asyncio.get_running_loop()
        return EventLoopConsumerThread(
            self, loop=loop, thread_loop=loop, beacon=self.beacon
        )


def _chunks(
    fetched: Iterable[tuple[TP, list[ConsumerRecord]]],
) -> Iterator[ConsumerRecords]:
    """Split fetched records into chunks of bounded size: the work depends on bytes."""
    consumer_records: ConsumerRecords = []
    size = 0
    for tp, records in fetched:
        piece: list[ConsumerRecord] = []
        for record in records:
            piece.append(record)
            size += len(record.value or b"")
            if size > MAX_CHUNK_BYTES:
                yield [*consumer_records, PartitionRecords(tp, piece)]
                consumer_records, piece, size = [], [], 0
        if piece:
            consumer_records.append(PartitionRecords(tp, piece))
    if consumer_records:
        yield consumer_records
