"""A table's changelog: one record batch a transaction, and the recovery of rows from it.

Of a row's records the highest source offset wins; of equal ones the later record. A lower
one is the write of a zombie worker.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from agents.runtime.fail_stop import fail_stop
from agents.runtime.producer import BatchingProducer, DeliveryFuture
from agents.runtime.state_store import Row, StateStore
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic

PROCESSED_OFFSET_HEADER = "version"
MAX_POLL_RECORDS = 5000
STALL_TIMEOUT_SECONDS = 60

_POLL_MS = 200
_CONSUMER_OPTIONS = {
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "fetch_max_wait_ms": 20,  # a partition that was read to its end delays the others
    "max_partition_fetch_bytes": 4 * 2**20,
    "request_timeout_ms": 10_000,
}

log = logging.getLogger(__name__)


class ChangelogProducer:
    """The only writer to a changelog's partitions in this worker."""

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
            tp, found = metadata.topic_partition, metadata.offset
            text = "%s-%d: another writer, offset %d instead of %d"
            fail_stop(text, tp.topic, tp.partition, found, expected)


def decode_row(record: ConsumerRecord) -> Row:
    """Read a changelog record."""
    for name, value in record.headers:
        if name == PROCESSED_OFFSET_HEADER:
            return Row(record.key, record.value, int(value))
    return Row(record.key, record.value, 0)


def supersedes(row: Row, known: Row | None) -> bool:
    """Return whether a changelog record replaces an earlier one of the same row."""
    return known is None or row.source_offset >= known.source_offset


def recover(
    store: StateStore, partition: int, rows: Iterable[Row], changelog_offset: int
) -> None:
    """Apply changelog records in log order; mark the rows that a zombie superseded."""
    offsets, newest = store.offsets[partition], dict[bytes, Row]()
    for row in rows:
        if row.source_offset < offsets.source_offset:  # else no known row can be higher
            known = newest.get(row.key) or offsets.superseded.get(row.key)
            known = known or store.row(partition, row.key)
            if not supersedes(row, known):
                offsets.superseded[row.key] = known
                continue
        newest[row.key] = row
        offsets.superseded.pop(row.key, None)
        offsets.source_offset = max(offsets.source_offset, row.source_offset)
    store.write(partition, newest.values())
    offsets.changelog_offset = changelog_offset


async def read_changelog(
    topic: str, store: StateStore, partitions: set[int], cluster: KafkaSettings
) -> int:
    """Recover partitions up to the end of their changelog; return the records read."""
    consumer = AIOKafkaConsumer(**cluster.client_options(), **_CONSUMER_OPTIONS)
    await consumer.start()
    try:
        tps = [TopicPartition(topic, partition) for partition in partitions]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        for tp, end in ends.items():
            if store.offsets[tp.partition].changelog_offset > end:
                log.warning("event=rows-discarded partition=%s reason=beyond-its-end", tp)
                store.drop_partition(tp.partition)
            consumer.seek(tp, store.offsets[tp.partition].changelog_offset)
        return await _read_to(consumer, store, ends)
    finally:
        await consumer.stop()


async def _read_to(
    consumer: AIOKafkaConsumer, store: StateStore, ends: Mapping[TopicPartition, int]
) -> int:
    count, last_progress = 0, time.monotonic()
    left = {tp for tp, end in ends.items() if await consumer.position(tp) < end}
    while left:
        fetched = await consumer.getmany(
            *left, timeout_ms=_POLL_MS, max_records=MAX_POLL_RECORDS
        )
        for tp, records in fetched.items():
            recover(store, tp.partition, map(decode_row, records), records[-1].offset + 1)
            count += len(records)
            await asyncio.sleep(0)  # getmany does not yield while it has records
        left = {tp for tp in left if await consumer.position(tp) < ends[tp]}
        if fetched:
            last_progress = time.monotonic()
        elif time.monotonic() - last_progress > STALL_TIMEOUT_SECONDS:
            raise TimeoutError(f"no more records of {left} before their ends")
    for tp, end in ends.items():
        store.offsets[tp.partition].changelog_offset = end
    return count
