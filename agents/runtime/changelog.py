"""A table's changelog: one record batch a transaction, and the recovery of rows from it.

Of a row's records the highest source offset wins; of equal ones the later record. A lower
one is the write of a zombie worker.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from agents.runtime.fail_stop import fail_stop
from agents.runtime.producer import BatchingProducer, DeliveryFuture, Headers
from agents.runtime.rows import Progress, Row, Write
from agents.runtime.state_store import StateStore
from topics.kafka.reader import read_to
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic

PROCESSED_OFFSET_HEADER = "version"
MAX_POLL_RECORDS = 5000
_OLDER = -1

CONSUMER_OPTIONS: dict[str, Any] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "fetch_max_wait_ms": 20,  # a partition that was read to its end delays the others
    "max_partition_fetch_bytes": 4 * 2**20,
    "max_poll_records": MAX_POLL_RECORDS,
    "request_timeout_ms": 10_000,
}

log = logging.getLogger(__name__)


class ChangelogProducer:
    """The only writer to a changelog's partitions in this worker."""

    def __init__(self, producer: BatchingProducer, topic: Topic, store: StateStore) -> None:
        self._producer = producer
        self._topic = topic
        self._store = store

    async def rewrite_superseded(self, partitions: Iterable[int]) -> None:
        """Write valid rows again, behind a zombie's writes; load the metadata."""
        await self._producer.partition_count(self._topic.name)
        deliveries = [
            self.produce(
                self._store.put(partition, {row.key: row.value}, row.source_offset)
            )
            for partition in partitions
            for row in self._store.offsets[partition].superseded.values()
        ]
        if deliveries:
            await asyncio.wait(deliveries)

    def produce(self, write: Write) -> DeliveryFuture:
        """Send rows that were put into the store, all of them or none; then commit them.

        An assignment that has ended was to wait for all its work, so its rows stop the
        worker.
        """
        tp, offsets = TopicPartition(self._topic.name, write.partition), write.offsets
        if self._store.offsets.get(write.partition) is not offsets:
            fail_stop("rows of %s were sent after its revocation", tp)
        expected, at = offsets.changelog_offset, time.time()
        offsets.changelog_offset += len(write.rows)
        headers = offset_headers(write.source_offset, self._store.generation)
        delivery = self._producer.send_batch(tp, write.rows.items(), headers)
        delivery.add_done_callback(lambda done: self._commit(done, write, expected, at))
        return delivery

    def _commit(
        self, delivery: DeliveryFuture, write: Write, expected: int, at: float
    ) -> None:
        """Stop if another worker writes here too: one of the two has been replaced."""
        tp, found = delivery.result().topic_partition, delivery.result().offset
        try:
            if found == expected:
                self._store.commit(write, expected + len(write.rows), at)
            elif 0 <= found < expected:  # the changelog has lost records
                self._store.drop_partition(write.partition)
        except Exception as error:  # noqa: BLE001 -- asyncio would only log it
            fail_stop("rows of %s-%d were not stored: %r", *tp, error)
        if found != expected:
            text = "%s-%d: another writer, offset %d instead of %d"
            fail_stop(text, *tp, found, expected)


def offset_headers(source_offset: int, generation: int) -> Headers:
    """Return the headers of rows: `offset`, or `generation/offset` after a repartition.

    An offset means another record in each generation. Releases that know no generations
    stop at such a row; they would give new requests the identity of old ones.
    """
    text = f"{generation}/{source_offset}" if generation else f"{source_offset}"
    return [(PROCESSED_OFFSET_HEADER, text.encode())]


def decode_row(record: ConsumerRecord, generation: int = 0) -> Row:
    """Read a changelog record of a table of a generation.

    A zombie worker's record of an earlier generation is older than each row.

    Raises:
        ValueError: the record is of a later generation.
    """
    for name, value in record.headers:
        if name == PROCESSED_OFFSET_HEADER:
            prefix, _, offset = value.rpartition(b"/")
            written = int(prefix or b"0")
            if written > generation:
                raise ValueError(f"a row of generation {written}, not {generation}")
            return Row(
                record.key, record.value, _OLDER if written < generation else int(offset)
            )
    return Row(record.key, record.value, _OLDER if generation else 0)


def supersedes(row: Row, known: Row | None) -> bool:
    """Return whether a changelog record replaces an earlier one of the same row."""
    return known is None or row.source_offset >= known.source_offset


def recover(
    store: StateStore, partition: int, rows: Iterable[Row], changelog_offset: int
) -> None:
    """Apply changelog records in log order; mark the rows that a zombie superseded.

    The time of the stored rows stays: records of a deletion may be among those to come.
    """
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
    offsets.changelog_offset = changelog_offset
    progress = Progress(offsets.source_offset, changelog_offset, offsets.stored.at)
    store.store(partition, newest.values(), progress)


async def read_changelogs(
    stores: Mapping[str, StateStore], partitions: Iterable[int], cluster: KafkaSettings
) -> int:
    """Recover partitions up to the end of their changelogs; return the records read.

    The read begins behind the stored rows, also of a partition that this worker had
    before: another worker may have had it in between. The stores are by changelog topic.
    """
    tps = [TopicPartition(topic, p) for topic in stores for p in partitions]
    if not tps:
        return 0
    options = cluster.client_options() | CONSUMER_OPTIONS
    async with AIOKafkaConsumer(**options) as consumer:
        at = time.time()
        ends = await load_stored(consumer, stores, tps)
        count = 0
        async for tp, records in read_to(consumer, ends):
            end = records[-1].offset + 1
            store = stores[tp.topic]
            rows = (decode_row(record, store.generation) for record in records)
            recover(store, tp.partition, rows, end)
            count += len(records)
        for tp, end in ends.items():
            store = stores[tp.topic]
            offsets = store.offsets[tp.partition]
            offsets.changelog_offset = end
            store.store(tp.partition, (), Progress(offsets.source_offset, end, at))
    return count


async def changelog_ends(
    topic: str, partitions: Iterable[int], cluster: KafkaSettings
) -> dict[int, int]:
    """Return the offsets behind the last records of partitions."""
    options = cluster.client_options() | CONSUMER_OPTIONS
    async with AIOKafkaConsumer(**options) as consumer:
        tps = [TopicPartition(topic, partition) for partition in partitions]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps) if tps else {}
    return {tp.partition: end for tp, end in ends.items()}


async def load_stored(
    consumer: AIOKafkaConsumer, stores: Mapping[str, StateStore], tps: list[TopicPartition]
) -> dict[TopicPartition, int]:
    """Load stored rows, and seek their changelogs behind them; return the changelogs' ends.

    Rows beyond the end are dropped: the changelog has lost records.
    """
    for tp in tps:
        stores[tp.topic].load(tp.partition)
    consumer.assign(tps)
    ends: dict[TopicPartition, int] = await consumer.end_offsets(tps)
    for tp, end in ends.items():
        store = stores[tp.topic]
        if store.offsets[tp.partition].changelog_offset > end:
            log.warning("event=rows-discarded partition=%s reason=beyond-its-end", tp)
            store.drop_partition(tp.partition)
        consumer.seek(tp, store.offsets[tp.partition].changelog_offset)
    return ends
