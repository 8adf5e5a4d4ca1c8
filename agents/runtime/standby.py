"""Follows the changelogs of partitions that other workers own, into the same stores."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from agents.runtime.changelog import CONSUMER_OPTIONS, decode_row, load_stored, recover
from agents.runtime.fail_stop import BackgroundTasks
from agents.runtime.state_store import StateStore
from topics.kafka.settings import KafkaSettings

MAX_POLL_RECORDS = 500  # 5 ms: the worker's agents share the loop
CONFIRM_SECONDS = 60.0
BEHIND_SECONDS = 1.0
RETRY_SECONDS = 1.0

_WAIT_MS = 500

log = logging.getLogger(__name__)


class StandbyReader:
    """Keeps the rows of partitions warm.

    Args:
        stores: by changelog topic.
        on_progress: called after each poll.

    Attributes:
        lags: records between the stored rows and the end of each followed changelog.
    """

    def __init__(
        self,
        stores: Mapping[str, StateStore],
        cluster: KafkaSettings,
        on_progress: Callable[[], None],
    ) -> None:
        self._stores = stores
        self._cluster = cluster
        self._on_progress = on_progress
        self._running = BackgroundTasks()
        self._partitions: set[int] = set()
        self._warm_at: dict[TopicPartition, float] = {}
        self.lags: dict[TopicPartition, int] = {}

    def lag(self, partition: int) -> int | None:
        """Return the lag of a partition over all tables; None if it is not followed."""
        tps = [TopicPartition(topic, partition) for topic in self._stores]
        if not self.lags.keys() >= set(tps):
            return None
        return sum(self.lags[tp] for tp in tps)

    async def measure(self, partitions: Iterable[int]) -> None:
        """Measure the lags of stored rows; rows that are too old are dropped."""
        tps = [TopicPartition(topic, p) for topic in self._stores for p in partitions]
        if not tps:
            return
        options = self._cluster.client_options() | CONSUMER_OPTIONS
        async with AIOKafkaConsumer(**options) as consumer:
            for tp, end in (await load_stored(consumer, self._stores, tps)).items():
                self.lags[tp] = end - await consumer.position(tp)
                self._stores[tp.topic].release(tp.partition)

    async def follow(self, partitions: Collection[int]) -> None:
        """Follow these partitions, and no others."""
        if self._running and set(partitions) == self._partitions:
            return
        await self.stop()
        before, self._partitions = self._partitions, set(partitions)
        for tp in [tp for tp in self.lags if tp.partition not in self._partitions]:
            del self.lags[tp]
        for store in self._stores.values():
            for partition in before - self._partitions - store.active:
                store.release(partition)
        if self._partitions and self._stores:
            self._running.start(self._run())

    async def stop(self) -> None:
        """Follow nothing; the rows and the last lags stay."""
        for task in [*self._running]:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        tps = [TopicPartition(t, p) for t in self._stores for p in self._partitions]
        self._warm_at = dict.fromkeys(tps, time.monotonic())
        while True:
            try:
                await self._follow(tps)
            except KafkaError as error:
                log.warning("event=standby-interrupted reason=%r", error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self, tps: list[TopicPartition]) -> None:
        options = CONSUMER_OPTIONS | {"fetch_max_wait_ms": _WAIT_MS}
        consumer = AIOKafkaConsumer(**self._cluster.client_options(), **options)
        await consumer.start()
        try:
            at = time.time()
            ends = unconfirmed = await load_stored(consumer, self._stores, tps)
            while True:
                for tp, end in ends.items():
                    position = await consumer.position(tp)
                    self.lags[tp] = max(0, (consumer.highwater(tp) or end) - position)
                self._log_behind()
                self._on_progress()
                unconfirmed = {
                    tp: end
                    for tp, end in unconfirmed.items()
                    if not self._stores[tp.topic].confirm(tp.partition, end, at)
                }
                if not unconfirmed and time.time() > at + CONFIRM_SECONDS:
                    at = time.time()
                    unconfirmed = await consumer.end_offsets(tps)
                fetched = await consumer.getmany(
                    timeout_ms=_WAIT_MS, max_records=MAX_POLL_RECORDS
                )
                for tp, records in fetched.items():
                    store, end = self._stores[tp.topic], records[-1].offset + 1
                    if records[0].offset < store.offsets[tp.partition].changelog_offset:
                        log.warning("event=rows-discarded partition=%s reason=lost", tp)
                        store.drop_partition(tp.partition)
                    rows = (decode_row(record, store.generation) for record in records)
                    recover(store, tp.partition, rows, end)
                    await asyncio.sleep(0)
        finally:
            with suppress(KafkaError):
                await consumer.stop()

    def _log_behind(self) -> None:
        now = time.monotonic()
        for tp, lag in self.lags.items():
            if not lag:
                self._warm_at[tp] = now
            elif now - self._warm_at[tp] > BEHIND_SECONDS:
                self._warm_at[tp] = now
                text = "event=standby-behind topic=%s partition=%d records=%d"
                log.warning(text, *tp, lag)
