"""Replies to `stocks` at the speed of bare aiokafka: the rest is the gateway's own work."""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.benchmarks.load import PARTITIONS
from topics.catalog import GATEWAY_REPLIES, STOCK_REQUESTS
from topics.kafka.headers import CORRELATION_ID, REPLY_PARTITION

REPLY = b'{"type":"stocks","stocks":[]}'


async def answer(bootstrap: str) -> None:
    """Send the same reply to each request from now on, until killed."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, fetch_max_wait_ms=50)
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True
    )
    async with consumer, producer:
        consumer.assign(
            [TopicPartition(STOCK_REQUESTS.name, number) for number in range(PARTITIONS)]
        )
        await consumer.seek_to_end()
        while True:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    request_headers = dict(record.headers)
                    await producer.send(
                        GATEWAY_REPLIES.name,
                        REPLY,
                        partition=int.from_bytes(request_headers[REPLY_PARTITION], "big"),
                        headers=[(CORRELATION_ID, request_headers[CORRELATION_ID])],
                    )


if __name__ == "__main__":
    asyncio.run(answer(sys.argv[1]))
