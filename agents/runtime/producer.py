"""Records into aiokafka's accumulator without a coroutine and a future for each.

`producer.send` costs 15 µs a record, `send_batch` waits until the batch before it has left:
both too much for a worker that says several things for each record it reads. What they do
with the accumulator is done here directly: a record joins the batch that waits for its
partition, or opens one; all records of a batch share its future.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from aiokafka.errors import UnknownTopicOrPartitionError
from aiokafka.partitioner import murmur2
from aiokafka.structs import RecordMetadata, TopicPartition

DeliveryFuture = asyncio.Future[RecordMetadata]
Headers = list[tuple[str, bytes]]

log = logging.getLogger(__name__)


@lru_cache(maxsize=100_000)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key, as Java's and aiokafka's clients choose it."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


class BatchingProducer:
    """Sends records through an aiokafka producer.

    Args:
        producer: returns the producer, once it is started.
        sent: is told of each batch that was sent, or could not be.
    """

    def __init__(
        self, producer: Callable[[], Any], on_delivery: Callable[[DeliveryFuture], None]
    ) -> None:
        self._producer = producer
        self._on_delivery = on_delivery
        self._partitions: dict[str, int] = {}

    async def partition_count(self, topic: str) -> int:
        """Return how many partitions a topic has; from now on the producer knows it.

        A broker that has just started knows of none for a while.
        """
        while topic not in self._partitions:
            try:
                there = await self._producer().partitions_for(topic)
            except UnknownTopicOrPartitionError as error:
                log.warning("waiting topic=%s reason=%r", topic, error)
            else:
                self._partitions[topic] = len(there)
        return self._partitions[topic]

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        partition: int | None = None,
    ) -> DeliveryFuture:
        """Send a record; a partition that the topic does not have is chosen by key."""
        partitions = self._partitions.get(topic) or await self.partition_count(topic)
        if partition is None or partition >= partitions:
            partition = (
                _random_partition(partitions)
                if key is None
                else partition_of(key, partitions)
            )
        tp = TopicPartition(topic, partition)
        producer = self._producer()
        waiting = producer._message_accumulator._batches.get(tp)
        if waiting and _append(waiting[-1]._builder, key, value, headers):
            return waiting[-1].future
        builder = producer.create_batch()
        _append(builder, key, value, headers)
        return self._enqueue(tp, builder)

    def send_batch(
        self,
        tp: TopicPartition,
        records: Iterable[tuple[bytes, bytes | None]],
        headers: Headers,
    ) -> DeliveryFuture:
        """Send records that arrive together or not at all: as a batch of their own.

        The producer must know the topic: `partitions` was asked before.

        Raises:
            ValueError: they don't fit into one batch.
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
            raise accumulator._exception  # its sender has ended: nothing would leave
        batch = accumulator._append_batch(builder, tp)
        batch.future.add_done_callback(self._on_delivery)
        return batch.future


def _random_partition(partitions: int) -> int:
    return random.randrange(partitions)


def _append(builder: Any, key: bytes | None, value: bytes | None, headers: Headers) -> bool:
    """Add a record, unless the batch is full or has left."""
    added = builder.append(key=key, value=value, timestamp=None, headers=headers)
    return added is not None
