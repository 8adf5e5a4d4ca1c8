"""Recovers a table's rows from its changelog: the highest source offset of a row wins."""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from agents.runtime.state_store import Row, StateStore
from topics.kafka.settings import KafkaSettings

PROCESSED_OFFSET_HEADER = "version"
MAX_POLL_RECORDS = 5000
_POLL_MS = 200
_FETCH_WAIT_MS = 20  # a partition that was read to its end delays the others
_FETCH_BYTES = 4 * 2**20
_REQUEST_MS = 10_000
STALL_TIMEOUT_SECONDS = 60

log = logging.getLogger(__name__)


def decode_row(record: ConsumerRecord) -> Row:
    """Read a changelog record."""
    for name, value in record.headers:
        if name == PROCESSED_OFFSET_HEADER:
            return Row(record.key, record.value, int(value))
    return Row(record.key, record.value, 0)


def supersedes(row: Row, known: Row | None) -> bool:
    """Return whether a changelog record replaces an earlier one of the same row.

    The highest source offset wins; of equal ones the later record. A lower one is the
    write of a zombie worker.
    """
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
    consumer = AIOKafkaConsumer(
        **cluster.client_options(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=_FETCH_WAIT_MS,
        max_partition_fetch_bytes=_FETCH_BYTES,
        request_timeout_ms=_REQUEST_MS,
    )
    await consumer.start()
    try:
        tps = [TopicPartition(topic, partition) for partition in partitions]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        _seek(consumer, store, ends)
        return await _read_to(consumer, store, ends)
    finally:
        await consumer.stop()


def _seek(
    consumer: AIOKafkaConsumer, store: StateStore, ends: Mapping[TopicPartition, int]
) -> None:
    for tp, end in ends.items():
        if store.offsets[tp.partition].changelog_offset > end:
            log.warning("event=rows-discarded partition=%s reason=beyond-its-end", tp)
            store.drop_partition(tp.partition)
        consumer.seek(tp, store.offsets[tp.partition].changelog_offset)


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
