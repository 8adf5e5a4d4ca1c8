"""A stand-in for the shop behind a gateway: sends the replies that a test gives it."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from topics.catalog import CART_REQUESTS, GATEWAY_REPLIES, ORDER_REQUESTS, STOCK_REQUESTS
from topics.kafka.headers import CORRELATION_ID, REPLY_PARTITION, REPLY_TOPIC

PATIENCE_SECONDS = 90.0

_LISTENS_TO = (CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS)


@dataclass
class Shop:
    """Reads the request topics of a real broker, and sends a test's replies."""

    consumer: AIOKafkaConsumer
    producer: AIOKafkaProducer
    partitions: list[TopicPartition]
    came: asyncio.Queue[ConsumerRecord] = field(default_factory=asyncio.Queue)

    async def request(self) -> ConsumerRecord:
        """Wait for the next request."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.came.get()

    async def requests(self, number: int) -> list[ConsumerRecord]:
        """Wait for a number of requests."""
        return [await self.request() for _ in range(number)]

    async def reply(self, request: ConsumerRecord, reply: dict | bytes) -> None:
        """Reply to the topic and partition of a request."""
        headers = dict(request.headers)
        partition = headers.get(REPLY_PARTITION)
        await self.producer.send_and_wait(
            headers[REPLY_TOPIC].decode(),
            json.dumps(reply).encode() if isinstance(reply, dict) else reply,
            partition=None if partition is None else struct.unpack(">i", partition)[0],
            headers=[(CORRELATION_ID, headers[CORRELATION_ID])],
        )

    async def send_unrequested(
        self, partition: int, headers: list[tuple[str, bytes]]
    ) -> None:
        """Send an unrequested record to the gateway's reply topic."""
        await self.producer.send_and_wait(
            GATEWAY_REPLIES.name, b'{"type":"done"}', partition=partition, headers=headers
        )

    async def ends(self) -> dict[TopicPartition, int]:
        """Return the end offset of each partition of requests."""
        return await self.consumer.end_offsets(self.partitions)

    async def read(self) -> None:
        """Read all requests: aiokafka omits a partition from its fetches while its records
        are not taken, which delays new ones by half a second.
        """
        async for request in self.consumer:
            self.came.put_nowait(request)


@asynccontextmanager
async def open_shop(bootstrap: str) -> AsyncIterator[Shop]:
    """A stand-in that receives every request from now on."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, fetch_max_wait_ms=20)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await consumer.start()
    await producer.start()
    try:
        partitions = [
            TopicPartition(topic.name, number)
            for topic in _LISTENS_TO
            for number in await producer.partitions_for(topic.name)
        ]
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        shop = Shop(consumer, producer, partitions)
        reading = asyncio.create_task(shop.read())
        yield shop
        reading.cancel()
    finally:
        await consumer.stop()
        await producer.stop()
