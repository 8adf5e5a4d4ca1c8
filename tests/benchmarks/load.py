"""Writes requests to a topic in advance."""

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer

from topics.kafka.headers import CORRELATION_ID, REPLY_TOPIC

REPLIES = "bench.replies"
PARTITIONS = 8
PACE_SECONDS = 0.01
"""A producer with a rate sleeps when it is so far ahead: this shapes the load."""

Command = Callable[[int], tuple[str, dict[str, Any]]]
"""Returns the key and the body of the request of a number."""

Record = tuple[bytes, bytes, list[tuple[str, bytes]]]


def as_record(command: tuple[str, dict[str, Any]], correlation_id: bytes) -> Record:
    """Return the key, value and headers of a request with a reply topic."""
    key, value = command
    headers = [(CORRELATION_ID, correlation_id), (REPLY_TOPIC, REPLIES.encode())]
    return key.encode(), json.dumps(value).encode(), headers


async def preload(
    bootstrap: str, topic: str, command: Command, number: int, rate: float = math.inf
) -> None:
    """Write requests with a reply topic, at a limited rate."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, linger_ms=5, max_batch_size=256 * 2**10
    )
    async with producer:
        for count in range(number):
            correlation_id = f"{topic}-{count}".encode()
            key, value, headers = as_record(command(count), correlation_id)
            await producer.send(topic, value, key=key, headers=headers)
            if (early := began + count / rate - loop.time()) > PACE_SECONDS:
                await asyncio.sleep(early)
