"""Writes a table's rows to its changelog, each transaction as one record batch."""

from collections.abc import Mapping

from aiokafka.structs import TopicPartition

from agents.runtime.fail_stop import fail_stop
from agents.runtime.producer import BatchingProducer, DeliveryFuture
from agents.runtime.recovery import PROCESSED_OFFSET_HEADER
from agents.runtime.state_store import StateStore
from topics.topic import Topic


class ChangelogProducer:
    """The only writer to a table's partitions in this worker.

    Args:
        producer: sends the rows.
        topic: the changelog.
        store: the table's rows.
    """

    def __init__(self, producer: BatchingProducer, topic: Topic, store: StateStore) -> None:
        self._producer = producer
        self._topic = topic
        self._store = store

    async def rewrite_superseded(self) -> None:
        """Write the valid rows again, behind a zombie's writes; load the metadata."""
        await self._producer.partition_count(self._topic.name)
        for partition, offsets in self._store.offsets.items():
            for row in offsets.superseded.values():
                self._store.pending_acks += 1
                self.produce(partition, {row.key: row.value}, row.source_offset)
            offsets.superseded.clear()

    def produce(
        self, partition: int, rows: Mapping[bytes, bytes | None], source_offset: int
    ) -> DeliveryFuture:
        """Send rows that were put into the store, all of them or none.

        The store is written first: its files may be ahead of the changelog, since a crash
        discards them. The other order could lose rows that other services have seen.
        """
        offsets = self._store.offsets[partition]
        expected = offsets.changelog_offset
        offsets.changelog_offset += len(rows)
        tp = TopicPartition(self._topic.name, partition)
        headers = [(PROCESSED_OFFSET_HEADER, str(source_offset).encode())]
        delivery = self._producer.send_batch(tp, rows.items(), headers)
        delivery.add_done_callback(lambda done: self._check(done, expected))
        return delivery

    def _check(self, delivery: DeliveryFuture, expected: int) -> None:
        """Stop if another worker writes here too: one of the two has been replaced."""
        self._store.pending_acks -= 1
        metadata = delivery.result()
        if metadata.offset != expected:
            fail_stop(
                "%s-%d: another writer, offset %d instead of %d",
                metadata.topic,
                metadata.partition,
                metadata.offset,
                expected,
            )
