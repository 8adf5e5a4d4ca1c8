"""Delivers a poll's records of a topic as one Faust event; commits acknowledged batches.

Faust spends half a millisecond on an event. Work done once per event runs with cold
caches, which dominates when many partitions bring few records each. This consumer also
corrects Faust:

- Records fetched before a seek were delivered after it. Here the drain loop is idle before
  any seek, and records fetched in an older epoch are dropped.
- Offsets were committed over unprocessed records. Here a batch is committed when all
  records that it caused are acknowledged, and not before the batches in front of it.
- A partition without a commit was not sought at all. Here it is sought to its beginning.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import faust
from aiokafka.structs import ConsumerRecord
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.utils.futures import notify

from agents.runtime import metrics
from agents.runtime.in_flight import ConsumerRecords, PartitionRecords, oldest
from agents.worker.clients import EventLoopConsumerThread

POLL_SECONDS = 0.1  # the longest wait of a rebalance for the drain loop
MAX_CHUNK_BYTES = 128 * 2**10


class RawRecordsSchema(faust.Schema):
    """Passes records to their agent undecoded: the runtime decodes them."""

    def compile(self, app: Any, **_: Any) -> Callable[..., Any]:
        """Return the decoder of a topic's messages."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG001
            return app.create_event(None, message.value, (), message)

        return decode


class Consumer(driver.Consumer):
    """Faust's consumer, with its drain loop and its commits replaced.

    Attributes:
        waiting: the first partition of a poll that waits for its agent's capacity.
    """

    waiting: TP | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._epoch = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._delivered: defaultdict[TP, deque[PartitionRecords]] = defaultdict(deque)
        super().__init__(*args, **kwargs)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Give up partitions when all their work is acknowledged."""
        await self.app.partitions_revoked()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(
        self, assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Take over partitions; pause the changelogs.

        No agent takes their records, and each fetch of one delays all others of its broker
        by 100 ms.
        """
        self.app.pause_monitor.arm()
        changelogs = [tp for tp in assigned if self._is_changelog_tp(tp)]
        self._thread._ensure_consumer().pause(*map(driver.ensure_aiokafka_TP, changelogs))
        await super().on_partitions_assigned(assigned, generation_id)

    def stop_flow(self) -> None:
        """Stop delivery; records of the current fetch are dropped."""
        self._epoch += 1
        super().stop_flow()

    async def wait_for_stopped_flow(self) -> None:
        """Wait until the drain loop is idle."""
        await self._idle.wait()

    async def perform_seek(self) -> None:
        """Seek to the committed offsets, or to the beginning without one."""
        if self.assignment():  # Faust fails on a spare worker without partitions
            await super().perform_seek()
        self._delivered.clear()
        fresh = [
            driver.ensure_aiokafka_TP(tp)
            for tp in self.sources()
            if not self._committed_offset.get(tp)
        ]
        if fresh:
            await self._thread.seek_to_beginning(*fresh)

    def ack(self, message: Any) -> bool:
        """Record Faust's own ack; commits depend on the batch being acknowledged."""
        if message.acked:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)
        return True

    async def force_commit(self, *_: Any, **__: Any) -> bool:
        """Commit each partition up to its first unacknowledged batch."""
        offsets: dict[TP, int] = {}
        for tp, open_batches in self._delivered.items():
            while open_batches and open_batches[0].acknowledged:
                offsets[tp] = open_batches.popleft().end
        return bool(offsets) and await self._commit_offsets(offsets)

    async def verify_all_partitions_active(self) -> None:
        """Do nothing: metrics and `status` report each partition's lag.

        Faust checks for fetches of each partition, changelogs included, and for events of
        each. Here changelogs are paused, and one event stands for several partitions. So
        after five minutes Faust would log errors for ever.
        """

    def sources(self) -> set[TP]:
        """Return the assigned partitions without those of changelogs."""
        return {tp for tp in self.assignment() if not self._is_changelog_tp(tp)}

    def lags(self) -> dict[TP, int]:
        """Return the uncommitted records of each partition, as far as known."""
        reader = self._thread._ensure_consumer()
        return {
            tp: max(0, end - (self._committed_offset.get(tp) or 0))
            for tp in self.sources()
            if (end := reader.highwater(driver.ensure_aiokafka_TP(tp))) is not None
        }

    def oldest(self) -> ConsumerRecords:
        """Return the oldest batch in flight of each partition that has one."""
        return oldest(self._delivered.values())

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                await self._drain_once()
        except (asyncio.CancelledError, *self.consumer_stopped_errors):
            if not self.transport.app.should_stop:
                raise
        finally:
            self._idle.set()

    async def _drain_once(self) -> None:
        if not self.flow_active:
            self._idle.set()
            await self.wait(self.can_resume_flow)
            return
        self._idle.clear()
        epoch = self._epoch
        if active := set(self._get_active_partitions()):
            fetched = await self._getmany(active_partitions=active, timeout=POLL_SECONDS)
            await self._deliver(epoch, fetched)
            await asyncio.sleep(0)
        else:
            await self.sleep(0.05)

    async def _deliver(
        self, epoch: int, fetched: Mapping[TP, list[ConsumerRecord]]
    ) -> None:
        topics: defaultdict[str, list[tuple[TP, list[ConsumerRecord]]]] = defaultdict(list)
        for tp, records in fetched.items():
            start = self._read_offset[tp] or 0
            fresh = [record for record in records if record.offset >= start]
            topics[tp.topic].append((tp, fresh))
        for topic, partitions in topics.items():
            for consumer_records in _chunks(partitions):
                if epoch != self._epoch:
                    return
                count = sum(len(batch.records) for batch in consumer_records)
                metrics.RECORDS.labels(topic).inc(count)
                metrics.BATCH.labels(topic).observe(count)
                for batch in consumer_records:
                    self._delivered[batch.tp].append(batch)
                await self._dispatch(consumer_records)
                self._read_offset.update(
                    (batch.tp, batch.end) for batch in consumer_records
                )

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
