"""Delivers a poll's records of a topic as one Faust event; commits acknowledged batches.

Faust spends half a millisecond on an event. Work done once per event runs with cold
caches, which dominates when many partitions bring few records each. This consumer also
corrects Faust:

- Records fetched before a seek were delivered after it. Here only new partitions are
  sought, and records fetched in an earlier assignment of a partition are dropped.
- Offsets were committed over unprocessed records. Here a batch is committed when all
  records that it caused are acknowledged, and not before the batches in front of it.
- A partition without a commit was not sought at all. Here it is sought to its beginning.
- A rebalance stopped all partitions. Here it stops those that another worker gets.
"""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import faust
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.utils.futures import notify

from agents.runtime import metrics
from agents.runtime.in_flight import ConsumerRecords, PartitionRecords, oldest
from agents.worker.clients import EventLoopConsumerThread
from agents.worker.coordinator import RebalanceListener

POLL_SECONDS = 0.1
DRAIN_POLL_SECONDS = 0.002
MAX_CHUNK_BYTES = 128 * 2**10

log = logging.getLogger(__name__)


class RawRecordsSchema(faust.Schema):
    """Passes records to their agent undecoded: the runtime decodes them."""

    def compile(self, app: Any, **_: Any) -> Callable[..., Any]:
        """Return the decoder of a topic's messages."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG001
            return app.create_event(None, message.value, (), message)

        return decode


@dataclass(eq=False)
class ServedPartition:
    """A partition whose records are delivered to its agent.

    Attributes:
        position: the offset of the next record to be delivered.
        acknowledged: the offset up to which it can be committed.
        committed: the offset up to which it is.
        batches: delivered, and not acknowledged with all before them; in log order.
    """

    position: int
    acknowledged: int
    committed: int
    batches: deque[PartitionRecords] = field(default_factory=deque)

    def advance(self) -> bool:
        """Advance over acknowledged batches; return whether there is more to commit."""
        while self.batches and self.batches[0].acknowledged:
            self.acknowledged = self.batches.popleft().end
        return self.acknowledged > self.committed


class Consumer(driver.Consumer):
    """Faust's consumer, with its drain loop, its commits and its rebalances replaced.

    Partitions are given by number: a worker has the same partitions of each topic.

    Attributes:
        waiting: the first partition of a poll that waits for its agent's capacity.
    """

    RebalanceListener = RebalanceListener
    waiting: TP | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._begins: dict[TP, int] = {}
        self._served: dict[TP, ServedPartition] = {}
        self._revoked: dict[TP, ServedPartition] = {}
        self._generation = 0
        super().__init__(*args, **kwargs)

    @property
    def generation(self) -> int:
        """The generation of the group; not positive: this worker is no member."""
        generation: int = self._coordinator.generation
        return generation

    async def update_topics(self) -> None:
        """Prepare the delivery of the records of all assigned partitions.

        Further commits have this generation. Earlier ones do not: they are no releases.
        The app's `consumer_generation_id` stays: Faust's streams would skip records that
        were delivered before it changed.
        """
        self._generation = self.generation
        await self.app.topics.maybe_wait_for_subscriptions()
        await self.app.topics.on_partitions_assigned(self.assignment())

    async def take_over(self, partitions: set[int]) -> None:
        """Fetch the committed offsets of partitions: where their delivery begins.

        Later, a request to the group's coordinator could wait for a join.
        """
        tps = self._sources(partitions)
        committed = await self._coordinator.fetch_committed_offsets(list(tps))
        for tp in tps:
            self._begins[tp] = committed[tp].offset if tp in committed else 0

    async def serve(self, partitions: set[int]) -> None:
        """Deliver the records of partitions that were taken over."""
        consumer = self._thread._ensure_consumer()
        tps = self._sources(partitions) & self._begins.keys()
        for tp in tps:
            if tp not in consumer.assignment():
                continue  # the group has given it away meanwhile
            if begin := self._begins.pop(tp):
                consumer.seek(tp, begin)
            else:
                await consumer.seek_to_beginning(tp)
            self._served[tp] = ServedPartition(begin, begin, begin)
        consumer.resume(*(consumer.assignment() & tps))

    async def revoke(self, partitions: set[int]) -> None:
        """Deliver no more records of partitions; their agents skip what is queued."""
        for tp in self._sources(partitions) & self._begins.keys():
            del self._begins[tp]
        for tp in self._sources(partitions) & self._served.keys():
            served = self._revoked[tp] = self._served.pop(tp)
            self._buffered_partitions.discard(tp)
            for batch in served.batches:
                batch.revoked = True

    async def wait_until_done(self) -> None:
        """Wait until no agent works on records of revoked partitions."""
        batches = [b for served in self._revoked.values() for b in served.batches]
        while not all(batch.done for batch in batches):  # noqa: ASYNC110 -- many set it
            await asyncio.sleep(DRAIN_POLL_SECONDS)

    async def release(self, partitions: set[int]) -> None:
        """Commit revoked partitions for the last time.

        A commit has the group's generation as its metadata: a later owner, which was
        assigned the partition in that generation, waits for it.
        """
        tps = self._sources(partitions)
        committed = await self._coordinator.fetch_committed_offsets(list(tps))
        offsets = {tp: committed[tp].offset if tp in committed else 0 for tp in tps}
        for tp in tps & self._revoked.keys():
            self._revoked[tp].advance()
            offsets[tp] = max(offsets[tp], self._revoked[tp].acknowledged)
        if not await self._commit(offsets, self._coordinator.generation):
            log.warning("event=release-not-committed partitions=%s", sorted(partitions))

    def forget_revoked(self) -> None:
        """Forget revoked partitions, whether they were released or not."""
        self._revoked.clear()

    async def unreleased(self, partitions: set[int], generation: int) -> set[int]:
        """Return the partitions that their owner has not released in a generation."""
        if generation <= 0:  # the group has removed this member
            return partitions
        tps = self._sources(partitions)
        committed = await self._coordinator.fetch_committed_offsets(list(tps))
        return {tp.partition for tp in tps if _generation(committed.get(tp)) < generation}

    @property
    def is_rebalancing(self) -> bool:
        """Whether the group rebalances again, so that its plan does not count any more."""
        return self._coordinator.is_rebalancing

    def rejoin(self, *, leaving: bool = False) -> None:
        """Join the group again; a leaving member leaves it when it has stopped."""
        self._coordinator.leaves |= leaving
        self._coordinator.request_rejoin()

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

    async def force_commit(self, *_: Any, **__: Any) -> bool:
        """Commit each partition up to its first unacknowledged batch."""
        advanced = {tp: served for tp, served in self._served.items() if served.advance()}
        offsets = {tp: served.acknowledged for tp, served in advanced.items()}
        if not offsets or not await self._commit(offsets, self._generation):
            return False
        for tp, offset in offsets.items():
            advanced[tp].committed = offset
        return True

    async def verify_all_partitions_active(self) -> None:
        """Do nothing: metrics and `status` report each partition's lag.

        Faust checks for events of each partition. Here one event stands for several
        partitions. So after five minutes Faust would log errors for ever.
        """

    def lags(self) -> dict[TP, int]:
        """Return the uncommitted records of each partition, as far as known."""
        consumer = self._thread._ensure_consumer()
        return {
            tp: max(0, end - served.committed)
            for tp, served in self._served.items()
            if (end := consumer.highwater(tp)) is not None
        }

    def oldest(self) -> ConsumerRecords:
        """Return the oldest batch in flight of each partition that has one.

        A release waits for those of revoked partitions.
        """
        in_flight = [*self._served.values(), *self._revoked.values()]
        return oldest(served.batches for served in in_flight)

    @property
    def _coordinator(self) -> Any:
        return self._thread._ensure_consumer()._coordinator

    def _sources(self, partitions: set[int]) -> set[TopicPartition]:
        topics = self._thread._ensure_consumer().subscription()
        return {TopicPartition(t, p) for t in topics for p in partitions}

    async def _commit(self, offsets: Mapping[TP, int], generation: int) -> bool:
        """Commit; False: the group rebalances, and a later commit has these offsets too."""
        metadata = str(generation)
        marked = {tp: OffsetAndMetadata(at, metadata) for tp, at in offsets.items()}
        try:
            await self._coordinator.commit_offsets(None, marked)
        except CommitFailedError:
            return False
        return True

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
            fetched = await self._getmany(active_partitions=active, timeout=POLL_SECONDS)
            await self._deliver(served, fetched)
            await asyncio.sleep(0)
        else:
            await self.sleep(0.05)

    async def _deliver(
        self,
        served: Mapping[TP, ServedPartition],
        fetched: Mapping[TP, list[ConsumerRecord]],
    ) -> None:
        """Deliver records; `served` has the partitions as they were before the fetch."""
        topics: defaultdict[str, list[tuple[TP, list[ConsumerRecord]]]] = defaultdict(list)
        for tp, records in fetched.items():
            start = served[tp].position
            fresh = [record for record in records if record.offset >= start]
            topics[tp.topic].append((tp, fresh))
        for topic, partitions in topics.items():
            for chunk in _chunks(partitions):
                batches = [b for b in chunk if self._served.get(b.tp) is served[b.tp]]
                if not batches:
                    continue
                count = sum(len(batch.records) for batch in batches)
                metrics.RECORDS.labels(topic).inc(count)
                metrics.BATCH.labels(topic).observe(count)
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


def _generation(committed: OffsetAndMetadata | None) -> int:
    """Return the generation in a commit's metadata; 0 without one."""
    metadata = committed.metadata if committed else ""
    return int(metadata) if metadata.isdecimal() else 0
