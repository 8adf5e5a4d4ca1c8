"""Takes over and releases partitions; commits acknowledged batches.

It corrects Faust:

- Offsets were committed over unprocessed records. Here a batch is committed when all
  records that it caused are acknowledged, and not before the batches in front of it.
- A partition without a commit was not sought at all. Here it is sought to its beginning.
- A rebalance stopped all partitions. Here it stops those that another worker gets.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP

from agents.runtime.in_flight import ConsumerRecords, oldest
from agents.worker.coordinator import RebalanceListener
from agents.worker.delivery import DeliveringConsumer, ServedPartition

DRAIN_POLL_SECONDS = 0.002

log = logging.getLogger(__name__)


class Consumer(DeliveringConsumer):
    """Faust's consumer, with its commits and its rebalances replaced.

    Partitions are given by number: a worker has the same partitions of each topic.
    """

    RebalanceListener = RebalanceListener

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._begins: dict[TP, int] = {}
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
        self._begins |= await self._committed(partitions)

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
        offsets = await self._committed(partitions)
        for tp in offsets.keys() & self._revoked.keys():
            self._revoked[tp].advance()
            offsets[tp] = max(offsets[tp], self._revoked[tp].acknowledged)
        if not await self._commit(offsets, self.generation):
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

    async def force_commit(self, *_: Any, **__: Any) -> bool:
        """Commit each partition up to its first unacknowledged batch."""
        # Faust's timer runs before there is a coordinator: a login may take long.
        if not self._served or self._coordinator.is_joining:
            return False
        advanced = {tp: served for tp, served in self._served.items() if served.advance()}
        offsets = {tp: served.acknowledged for tp, served in advanced.items()}
        times = {tp: served.acknowledged_at for tp, served in advanced.items()}
        if not offsets or not await self._commit(offsets, self._generation):
            return False
        for tp, offset in offsets.items():
            advanced[tp].committed = offset
            advanced[tp].committed_at = times[tp]
        return True

    def lags(self) -> dict[TP, int]:
        """Return the uncommitted records of each partition, as far as known."""
        consumer = self._thread._ensure_consumer()
        return {
            tp: max(0, end - served.committed)
            for tp, served in self._served.items()
            if (end := consumer.highwater(tp)) is not None
        }

    def committed_offset(self, tp: TopicPartition) -> int:
        """Return the committed offset of a partition; 0: none, or not served."""
        served = self._served.get(tp)
        return served.committed if served else 0

    def committed_at(self, tp: TopicPartition) -> datetime | None:
        """Return the time of the newest committed record; None: none, or not served.

        A clock that is ahead, as a client's may be during a repartition, does not count.
        """
        served = self._served.get(tp)
        if served is None or served.committed_at is None:
            return None
        seconds = min(served.committed_at / 1000, time.time())
        return datetime.fromtimestamp(seconds, UTC)

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

    async def _committed(self, partitions: set[int]) -> dict[TP, int]:
        """Return the committed offsets of partitions; 0 where there is none."""
        tps = self._sources(partitions)
        committed = await self._coordinator.fetch_committed_offsets(list(tps))
        return {tp: committed[tp].offset if tp in committed else 0 for tp in tps}

    async def _commit(self, offsets: Mapping[TP, int], generation: int) -> bool:
        """Commit; False: the group rebalances, and a later commit has these offsets too."""
        metadata = str(generation)
        marked = {tp: OffsetAndMetadata(at, metadata) for tp, at in offsets.items()}
        try:
            await self._coordinator.commit_offsets(None, marked)
        except CommitFailedError:
            return False
        return True


def _generation(committed: OffsetAndMetadata | None) -> int:
    """Return the generation in a commit's metadata; 0 without one."""
    metadata = committed.metadata if committed else ""
    return int(metadata) if metadata.isdecimal() else 0
