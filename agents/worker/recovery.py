"""Recovery of tables: each changelog is read to its end by a consumer of its own.

Faust recovers through the group's consumer, whose flow it stops, seeks and resumes for it;
records were skipped and queued ones lost on the way (T2, T19), at 4,500 records a second.
Here the group's consumer stands still until the tables are complete, and a partition is
read from where its rows end, also one that this worker had before: somebody else may have
had it in between.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from agents.runtime import metrics
from agents.runtime.fail_stop import fail_stop
from agents.runtime.state_store import Row, StateStore
from topics.kafka.settings import KafkaSettings

PROCESSED_OFFSET_HEADER = "version"
MAX_POLL_RECORDS = 5000
_POLL_MS = 200
_FETCH_WAIT_MS = 20  # a partition that has been read to its end holds up the others
_FETCH_BYTES = 4 * 2**20
_REQUEST_MS = 10_000
STALL_TIMEOUT_SECONDS = 60

log = logging.getLogger(__name__)


class Recovery(faust.Service):
    """Stands in for `faust.tables.recovery.Recovery`, with what others use of it."""

    abstract = False

    def __init__(self, app: Any, tables: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.app = app
        self.tables = tables
        self.completed = asyncio.Event()
        self._rebalanced = asyncio.Event()
        self._rebalance = 0

    def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Keep the rows: the same partitions mostly come back."""

    async def on_rebalance(self, *_: Any, **__: Any) -> None:
        """Begin anew with the partitions that the group has just assigned."""
        self.app.in_recovery = True
        self._rebalance = self.app.rebalancing_count
        self._rebalanced.set()

    @faust.Service.task
    async def _recover_after_rebalances(self) -> None:
        while not await self.wait_for_stopped(self._rebalanced):
            self._rebalanced.clear()
            rebalance = self._rebalance
            try:
                await self._recover(rebalance)
            except Exception as error:  # noqa: BLE001 -- half a table serves nobody
                if rebalance == self.app.rebalancing_count:
                    fail_stop("recovery failed: %r", error)
                log.info("given up, since partitions are assigned anew: %r", error)

    async def _recover(self, rebalance: int) -> None:
        await self.app.consumer.wait_for_stopped_flow()
        began = time.monotonic()
        rows = sum(await asyncio.gather(*map(self._recover_table, self.tables.values())))
        if rebalance != self.app.rebalancing_count:
            return
        for table in self.tables.values():
            await table.call_recover_callbacks()
        seconds = time.monotonic() - began
        metrics.RECOVERY.observe(seconds)
        metrics.RECOVERED.inc(rows)
        log.info("recovered rows=%d seconds=%.2f", rows, seconds)
        await self._resume(rebalance)

    async def _recover_table(self, table: Any) -> int:
        topic = table.changelog_topic.get_topic_name()
        assigned = {
            tp.partition for tp in self.app.assignor.assigned_actives() if tp.topic == topic
        }
        store: StateStore = table.data.rows
        for partition in set(store.offsets) - assigned:
            store.drop_partition(partition)
        if not assigned:
            return 0
        return await read_changelog(topic, store, assigned, self.app.conf.cluster)

    async def _resume(self, rebalance: int) -> None:
        """Let records flow, as faust's own recovery does at its end.

        Unless the next rebalance has begun meanwhile: its partitions are not recovered.
        """
        app, consumer = self.app, self.app.consumer
        await app.on_rebalance_complete.send()
        app.in_recovery = False
        assignment = consumer.assignment()
        await consumer.perform_seek()
        if rebalance != app.rebalancing_count:
            return
        consumer.resume_partitions(
            {tp for tp in assignment if not consumer._is_changelog_tp(tp)}
        )
        self.completed.set()
        app.flow_control.resume()
        consumer.resume_flow()
        await app._fetcher.maybe_start()
        if rebalance != app.rebalancing_count:
            return
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        app.on_rebalance_end()
        numbers = sorted({tp.partition for tp in assignment})
        log.info("ready partitions=%d numbers=%s", len(assignment), _listed(numbers))


async def read_changelog(
    topic: str, store: StateStore, partitions: set[int], cluster: KafkaSettings
) -> int:
    """Bring partitions up to the end of their changelog; return the records read."""
    reader = AIOKafkaConsumer(
        **cluster.client_options(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=_FETCH_WAIT_MS,
        max_partition_fetch_bytes=_FETCH_BYTES,
        request_timeout_ms=_REQUEST_MS,
    )
    await reader.start()
    try:
        tps = [TopicPartition(topic, partition) for partition in partitions]
        reader.assign(tps)
        ends = await reader.end_offsets(tps)
        await _seek(reader, store, ends)
        return await _read_to(reader, store, ends)
    finally:
        await reader.stop()


async def _seek(
    reader: AIOKafkaConsumer, store: StateStore, ends: Mapping[TopicPartition, int]
) -> None:
    for tp, end in ends.items():
        if store.offsets[tp.partition].changelog_offset > end:
            log.warning("rows beyond the end of %s: not of this cluster, dropped", tp)
            store.drop_partition(tp.partition)
        reader.seek(tp, store.offsets[tp.partition].changelog_offset)


async def _read_to(
    reader: AIOKafkaConsumer, store: StateStore, ends: Mapping[TopicPartition, int]
) -> int:
    read, last_progress = 0, time.monotonic()
    left = {tp for tp, end in ends.items() if await reader.position(tp) < end}
    while left:
        fetched = await reader.getmany(
            *left, timeout_ms=_POLL_MS, max_records=MAX_POLL_RECORDS
        )
        for tp, records in fetched.items():
            store.recover(tp.partition, map(decode_row, records), records[-1].offset + 1)
            read += len(records)
            await asyncio.sleep(0)  # what is fetched already comes without a pause
        left = {tp for tp in left if await reader.position(tp) < ends[tp]}
        if fetched:
            last_progress = time.monotonic()
        elif time.monotonic() - last_progress > STALL_TIMEOUT_SECONDS:
            raise TimeoutError(f"nothing more comes of {left}")
    for tp, end in ends.items():
        store.offsets[tp.partition].changelog_offset = end
    return read


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


def decode_row(record: ConsumerRecord) -> Row:
    """Read a changelog record."""
    for name, value in record.headers:
        if name == PROCESSED_OFFSET_HEADER:
            return Row(record.key, record.value, int(value))
    return Row(record.key, record.value, 0)
