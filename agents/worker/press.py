"""Records into aiokafka's accumulator without a coroutine and a future for each.

`producer.send` costs 15 µs a record, `send_batch` waits until the batch before it has left:
both too much for a worker that says several things for each record it reads. What they do
with the accumulator is done here directly: a record joins the batch that waits for its
partition, or opens one; all records of a batch share its future.
"""

import asyncio
import random
from collections.abc import Iterable
from typing import Any

from aiokafka.partitioner import murmur2
from aiokafka.structs import RecordMetadata, TopicPartition
from cachetools import LRUCache, cached

from agents.worker.failstop import die

Acked = asyncio.Future[RecordMetadata]
Headers = list[tuple[str, bytes]]


@cached(LRUCache(maxsize=100_000))
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key, as Java's and aiokafka's clients choose it."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


class Press:
    """Sends records of a worker; one that can't be sent ends the worker (T5).

    Args:
        app: the Faust app whose producer is used.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._partitions: dict[str, int] = {}

    async def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has; from now on the producer knows it."""
        if topic not in self._partitions:
            there = await self._producer.partitions_for(topic)
            self._partitions[topic] = len(there)
        return self._partitions[topic]

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        partition: int | None = None,
    ) -> Acked:
        """Send a record; a partition that the topic does not have is chosen by key."""
        partitions = self._partitions.get(topic) or await self.partitions(topic)
        if partition is None or partition >= partitions:
            partition = _any(partitions) if key is None else partition_of(key, partitions)
        tp = TopicPartition(topic, partition)
        waiting = self._accumulator._batches.get(tp)
        if waiting and _append(waiting[-1]._builder, key, value, headers):
            return waiting[-1].future
        builder = self._producer.create_batch()
        _append(builder, key, value, headers)
        return self._open(tp, builder)

    def send_together(
        self,
        tp: TopicPartition,
        records: Iterable[tuple[bytes, bytes | None]],
        headers: Headers,
    ) -> Acked:
        """Send records that arrive together or not at all: as a batch of their own.

        The producer must know the topic: `partitions` was asked before.
        """
        builder = self._producer.create_batch()
        for key, value in records:
            if not _append(builder, key, value, headers):
                die("rows don't fit into one record batch of %s", tp)
        builder.close()
        return self._open(tp, builder)

    def _open(self, tp: TopicPartition, builder: Any) -> Acked:
        batch = self._accumulator._append_batch(builder, tp)
        batch.future.add_done_callback(_certain)
        return batch.future

    @property
    def _producer(self) -> Any:
        return self._app.producer._producer

    @property
    def _accumulator(self) -> Any:
        return self._producer._message_accumulator


def _any(partitions: int) -> int:
    return random.randrange(partitions)


def _append(builder: Any, key: bytes | None, value: bytes | None, headers: Headers) -> bool:
    """Add a record, unless the batch is full or has left."""
    added = builder.append(key=key, value=value, timestamp=None, headers=headers)
    return added is not None


def _certain(sent: Acked) -> None:
    if sent.cancelled() or sent.exception() is not None:
        die("not sent: %r", "cancelled" if sent.cancelled() else sent.exception())
