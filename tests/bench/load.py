"""Preloading a topic with commands, and counting what comes back."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from topics.conversation import CORRELATION_ID, REPLY_TOPIC

REPLIES = "bench.replies"
PARTITIONS = 8

Command = Callable[[int], tuple[str, dict[str, Any]]]


async def preload(bootstrap: str, topic: str, command: Command, number: int) -> None:
    """Fill a topic with commands that want a reply."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, linger_ms=5, max_batch_size=256 * 2**10
    )
    async with producer:
        for count in range(number):
            key, value = command(count)
            headers = [
                (CORRELATION_ID, f"{topic}-{count}".encode()),
                (REPLY_TOPIC, REPLIES.encode()),
            ]
            data = json.dumps(value).encode()
            await producer.send(topic, data, key=key.encode(), headers=headers)


@dataclass
class Replies:
    """Counts what arrives in the reply topic."""

    consumer: AIOKafkaConsumer
    seen: set[bytes] = field(default_factory=set)

    @classmethod
    async def open(cls, bootstrap: str) -> "Replies":
        """Listen from now on."""
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, fetch_max_wait_ms=20)
        await consumer.start()
        partitions = [TopicPartition(REPLIES, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        return cls(consumer)

    async def rate(self, number: int) -> float:
        """Return replies a second, from the first fetch of them to the last."""
        self.seen.clear()
        began, first = 0.0, 0
        while len(self.seen) < number:
            for records in (await self.consumer.getmany(timeout_ms=1000)).values():
                self.seen |= {dict(each.headers)[CORRELATION_ID] for each in records}
            if self.seen and not first:
                began, first = perf_counter(), len(self.seen)
        return (number - first) / (perf_counter() - began)
