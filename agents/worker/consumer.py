"""One Faust event for all that a fetch brought of a topic, and honest commits.

Faust spends half a millisecond on an event, and whatever is done once for each event is
done with cold caches: with few records of many partitions that is most of all work. Beside
speed this consumer cures (numbers as in shared/faust.md):

- T2: records fetched before a seek were delivered after it. The drain loop is parked
  before any seek, and what was fetched in an older epoch is dropped.
- T3, T4, T6: offsets were committed over records that were not carried out. A batch is
  committed when all it caused is acknowledged, and never over an open one before it.
- T15: a partition without a commit was not sought at all. It is sought to its beginning.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import faust
from aiokafka.structs import ConsumerRecord
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.utils.futures import notify

from agents.runtime import metrics
from agents.worker.consumer_thread import EventLoopConsumerThread

POLL_SECONDS = 0.1
"""So long a rebalance may have to wait for the drain loop to stand still."""

MAX_CHUNK_BYTES = 128 * 2**10


@dataclass(eq=False)
class PartitionRecords:
    """Records of one partition, in log order; `settled` when all they caused is acked."""

    tp: TP
    records: list[ConsumerRecord] = field(repr=False)
    acknowledged: bool = False

    @property
    def end(self) -> int:
        """The offset after the last record."""
        return int(self.records[-1].offset) + 1


ConsumerRecords = list[PartitionRecords]
"""What was fetched of one topic: a batch for each partition that there was something of."""


class RawRecordsSchema(faust.Schema):
    """Hands a catch to its agent as it is: we decode records ourselves (T12)."""

    def compile(self, app: Any, **_: Any) -> Callable[..., Any]:
        """Return the decoder of a topic's messages."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG001
            return app.create_event(None, message.value, (), message)

        return decode


class Consumer(driver.Consumer):
    """Faust's consumer of a worker, with its drain loop and its commits replaced."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._epoch = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._delivered: defaultdict[TP, deque[PartitionRecords]] = defaultdict(deque)
        super().__init__(*args, **kwargs)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Give partitions back when all that was begun of them is acknowledged."""
        await self.app.partitions_revoked()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(
        self, assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Take partitions over; changelogs are not for this consumer to read.

        What it fetched of them nobody would take, and each such fetch holds up all others
        of its broker for 100 ms.
        """
        self.app.pause_monitor.arm()
        changelogs = [tp for tp in assigned if self._is_changelog_tp(tp)]
        self._thread._ensure_consumer().pause(*map(driver.ensure_aiokafka_TP, changelogs))
        await super().on_partitions_assigned(assigned, generation_id)

    def stop_flow(self) -> None:
        """Stop delivering; what is being fetched now will be dropped."""
        self._epoch += 1
        super().stop_flow()

    async def wait_for_stopped_flow(self) -> None:
        """Wait until the drain loop stands still."""
        await self._idle.wait()

    async def perform_seek(self) -> None:
        """Go to the committed offsets, or to the beginning where there is none."""
        if self.assignment():  # a spare worker has no partitions, and faust can't do that
            await super().perform_seek()
        self._delivered.clear()
        fresh = [
            driver.ensure_aiokafka_TP(tp)
            for tp in self.assignment()
            if not self._is_changelog_tp(tp) and not self._committed_offset.get(tp)
        ]
        if fresh:
            await self._thread.seek_to_beginning(*fresh)

    def ack(self, message: Any) -> bool:
        """Note that faust is done with a batch; whether it is settled is another matter."""
        if message.acked:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)
        return True

    async def force_commit(self, *_: Any, **__: Any) -> bool:
        """Commit each partition up to its first batch that is not settled."""
        offsets = {
            tp: end for tp in list(self._delivered) if (end := self._committable_offset(tp))
        }
        return bool(offsets) and await self._commit_offsets(offsets)

    async def verify_all_partitions_active(self) -> None:
        """Complain of nothing: how far behind a partition is, is told by metrics.

        Faust goes by fetches of each partition, and there are none of changelogs; and by
        its events, of which one stands for several partitions here. After five minutes it
        would complain without end.
        """

    def lags(self) -> dict[TP, int]:
        """Return how many records of each partition are not committed, as far as known."""
        reader = self._thread._ensure_consumer()
        ends = {
            tp: reader.highwater(driver.ensure_aiokafka_TP(tp))
            for tp in self.assignment()
            if not self._is_changelog_tp(tp)
        }
        return {
            tp: max(0, end - (self._committed_offset.get(tp) or 0))
            for tp, end in ends.items()
            if end is not None
        }

    def _committable_offset(self, tp: TP) -> int | None:
        end, open_batches = None, self._delivered[tp]
        while open_batches and open_batches[0].acknowledged:
            end = open_batches.popleft().end
        return end

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
        active = set(self._get_active_partitions())
        if not active:
            await self.sleep(0.05)
            return
        fetched = await self._getmany(active_partitions=active, timeout=POLL_SECONDS)
        await self._deliver(epoch, fetched)
        await asyncio.sleep(0)

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
                self._count(topic, consumer_records)
                for batch in consumer_records:
                    self._delivered[batch.tp].append(batch)
                await self._dispatch(consumer_records)
                self._read_offset.update(
                    (batch.tp, batch.end) for batch in consumer_records
                )

    def _count(self, topic: str, consumer_records: ConsumerRecords) -> None:
        records = sum(len(batch.records) for batch in consumer_records)
        metrics.RECORDS.labels(topic).inc(records)
        metrics.BATCH.labels(topic).observe(records)

    async def _dispatch(self, consumer_records: ConsumerRecords) -> None:
        tp, last = consumer_records[0].tp, consumer_records[0].records[-1]
        message = self._to_message(tp, last)
        message.value = consumer_records
        channels = self.app.topics._tp_index.get(tp, ())
        if any(channel.queue.full() for channel in channels):
            await self.wait_first(self.callback(message), self.suspend_flow.wait())
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
    """Cut what was fetched into pieces of bounded size: work goes by bytes, too."""
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
