"""Reads partitions in the order of time, and writes records with their own times."""

import asyncio
import heapq
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from agents.runtime.producer import Headers
from topics.kafka.reader import OffsetRanges
from topics.kafka.settings import KafkaSettings

BATCH_BYTES = 2**18
MAX_RECORD_BYTES = 100 * 2**20 - 2**16
"""A broker's limit of a request is 100 MiB."""

_FETCH_BYTES = 2**19
_POLL_MS = 200
_STALL_SECONDS = 60.0
_YIELD_EVERY = 500


async def merge(
    cluster: KafkaSettings, ranges: OffsetRanges
) -> AsyncIterator[ConsumerRecord]:
    """Yield the records of partitions by timestamp, those of a partition in log order.

    So records of one partition stay in order if the clock of its broker was set back. Of
    equal timestamps the lower partition comes first. Few records are in memory.

    Raises:
        TimeoutError: no partition makes progress before its end.
    """
    ends = {tp: part.end for tp, part in ranges.items() if part.begin < part.end}
    if not ends:
        return
    async with AIOKafkaConsumer(
        **cluster.client_options(),
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=_FETCH_BYTES,
        fetch_max_wait_ms=_POLL_MS,
    ) as consumer:
        consumer.assign([*ends])
        for tp in ends:
            consumer.seek(tp, ranges[tp].begin)
        async for record in Merge(consumer, ends).records():
            yield record


class Merge:
    """The partitions of a consumer, merged.

    A record may be yielded once the heads, the next records, of all others are known.
    """

    def __init__(self, consumer: Any, ends: Mapping[TopicPartition, int]) -> None:  # noqa: ANN401 -- aiokafka is untyped
        self._consumer = consumer
        self._ends = ends
        self._fetched: dict[TopicPartition, deque[ConsumerRecord]] = {
            tp: deque() for tp in ends
        }
        self._heads: list[tuple[int, int, ConsumerRecord]] = []
        self._headless = set(ends)

    async def records(self) -> AsyncIterator[ConsumerRecord]:
        """Yield all records."""
        for count in itertools.count(1):
            since = time.monotonic()
            while self._headless:
                await self._fetch(since)
            if not self._heads:
                return
            _, _, record = heapq.heappop(self._heads)
            yield record
            self._set_head(TopicPartition(record.topic, record.partition))
            if not count % _YIELD_EVERY:
                await asyncio.sleep(0)

    async def _fetch(self, since: float) -> None:
        fetched = await self._consumer.getmany(*self._headless, timeout_ms=_POLL_MS)
        for tp, records in fetched.items():
            self._fetched[tp].extend(r for r in records if r.offset < self._ends[tp])
        for tp in [*self._headless]:
            if self._fetched[tp]:
                self._set_head(tp)
            elif await self._consumer.position(tp) >= self._ends[tp]:
                self._headless.discard(tp)
        if not fetched and time.monotonic() - since > _STALL_SECONDS:
            partitions = sorted(self._headless)
            raise TimeoutError(f"no more records of {partitions} before their ends")

    def _set_head(self, tp: TopicPartition) -> None:
        if self._fetched[tp]:
            head = self._fetched[tp].popleft()
            heapq.heappush(self._heads, (head.timestamp, tp.partition, head))
            self._headless.discard(tp)
        else:
            self._headless.add(tp)


class RecordWriter:
    """Writes records into the partitions of a topic, in order, with their own times.

    At its end all of them are acknowledged. The metadata of a producer may be that of a
    deleted topic of the same name, so each writer has a producer of its own.
    """

    def __init__(self, cluster: KafkaSettings, topic: str) -> None:
        self._topic = topic
        self._producer = AIOKafkaProducer(
            **cluster.client_options(),
            acks="all",
            enable_idempotence=True,
            max_batch_size=BATCH_BYTES,
            max_request_size=MAX_RECORD_BYTES,
            linger_ms=0,
        )
        self._open: dict[int, Any] = {}
        self._deliveries: set[asyncio.Future[Any]] = set()

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(self, error: type[BaseException] | None, *_: object) -> None:
        try:
            if error is None:
                await self._flush()
        finally:
            await self._producer.stop()

    async def add(
        self,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        timestamp: int,
        headers: Headers,
    ) -> None:
        """Append a record; a full batch is sent."""
        batch = self._open.get(partition)
        record = {"key": key, "value": value, "timestamp": timestamp, "headers": headers}
        if batch is None or batch.append(**record) is None:
            if batch is not None:
                await self._send(partition, batch)
            self._open[partition] = batch = self._producer.create_batch()
            batch.append(**record)

    async def _send(self, partition: int, batch: Any) -> None:  # noqa: ANN401
        batch.close()
        for delivery in [each for each in self._deliveries if each.done()]:
            delivery.result()
            self._deliveries.discard(delivery)
        # It waits until the partition's batch before has left.
        self._deliveries.add(
            await self._producer.send_batch(batch, self._topic, partition=partition)
        )

    async def _flush(self) -> None:
        for partition, batch in self._open.items():
            await self._send(partition, batch)
        await asyncio.gather(*self._deliveries)
