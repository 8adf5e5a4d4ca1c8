"""Records into aiokafka's accumulator without a coroutine and a future for each.

`producer.send` costs 15 µs a record; `send_batch` waits until the previous batch has left.
Both are too slow for a worker that sends several records for each one it reads. Here a
record joins the batch that waits for its partition, or opens one. All records of a batch
share its future.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiokafka.errors import UnknownTopicOrPartitionError
from aiokafka.structs import RecordMetadata, TopicPartition

from topics.kafka.location import partition_of

DeliveryFuture = asyncio.Future[RecordMetadata]
Headers = list[tuple[str, bytes]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProducerRecord:
    """A record to be sent.

    Attributes:
        partition: None, or one that the topic lacks: the partition of the key.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    partition: int | None = None


class BatchingProducer:
    """Sends records through an aiokafka producer.

    Args:
        producer: returns the producer, once it is started.
        on_delivery: called with the future of each batch, when that is done.
    """

    def __init__(
        self, producer: Callable[[], Any], on_delivery: Callable[[DeliveryFuture], None]
    ) -> None:
        self._producer = producer
        self._on_delivery = on_delivery
        self._partitions: dict[str, int] = {}

    async def partition_count(self, topic: str) -> int:
        """Return how many partitions a topic has; load its metadata, and keep it loaded.

        A broker that has just started lacks all topics for a while.
        """
        while topic not in self._partitions:
            producer = self._producer()
            # aiokafka refreshes all topics until one is added, then only added ones. It
            # does not add one whose metadata is loaded: the next refresh would lose its
            # leaders, and its batches would wait for ever.
            producer.client.add_topic(topic)
            try:
                partitions = await producer.partitions_for(topic)
            except UnknownTopicOrPartitionError as error:
                log.warning("event=topic-unknown topic=%s reason=%r", topic, error)
            else:
                self._partitions[topic] = len(partitions)
        return self._partitions[topic]

    async def send(self, record: ProducerRecord) -> DeliveryFuture:
        """Append a record to its partition's batch; return that batch's future."""
        topic, key, partition = record.topic, record.key, record.partition
        count = self._partitions.get(topic) or await self.partition_count(topic)
        if partition is None or partition >= count:
            partition = random.randrange(count) if key is None else partition_of(key, count)
        tp = TopicPartition(topic, partition)
        producer = self._producer()
        waiting = producer._message_accumulator._batches.get(tp)
        if waiting and _append(waiting[-1]._builder, key, record.value, record.headers):
            future: DeliveryFuture = waiting[-1].future
            return future
        builder = producer.create_batch()
        _append(builder, key, record.value, record.headers)
        return self._enqueue(tp, builder)

    def send_batch(
        self,
        tp: TopicPartition,
        records: Iterable[tuple[bytes, bytes | None]],
        headers: Headers,
    ) -> DeliveryFuture:
        """Send records as one batch: Kafka appends all of them or none.

        The producer must have the topic's metadata: call `partition_count` before.

        Raises:
            ValueError: they do not fit into one batch.
        """
        builder = self._producer().create_batch()
        for key, value in records:
            if not _append(builder, key, value, headers):
                raise ValueError(f"more than one record batch for {tp}")
        builder.close()
        return self._enqueue(tp, builder)

    def _enqueue(self, tp: TopicPartition, builder: Any) -> DeliveryFuture:
        accumulator = self._producer()._message_accumulator
        if accumulator._exception is not None:
            raise accumulator._exception  # its sender has ended: nothing would be sent
        future: DeliveryFuture = accumulator._append_batch(builder, tp).future
        future.add_done_callback(self._on_delivery)
        return future


async def settled(deliveries: Iterable[asyncio.Future[Any]]) -> None:
    """Wait until all are done, whatever their results.

    As `asyncio.wait` does, at a tenth of its cost: they usually end at the same time.
    """
    loop = asyncio.get_running_loop()
    for delivery in deliveries:
        if not delivery.done():
            waiter = loop.create_future()
            delivery.add_done_callback(partial(_wake, waiter))
            await waiter


def _wake(waiter: asyncio.Future[None], _: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _append(builder: Any, key: bytes | None, value: bytes | None, headers: Headers) -> bool:
    """Append a record, unless the batch is full or closed."""
    added = builder.append(key=key, value=value, timestamp=None, headers=headers)
    return added is not None
