"""The floor: bare aiokafka, consume → produce, acks=all."""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.benchmarks.load import PARTITIONS, REPLIES

REQUESTS = "bench.requests"
READY = "ready"
"""Is printed when the echo begins to fetch."""


async def echo(bootstrap: str) -> None:
    """Send every record back until killed; commit as a worker does."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id="bench.echo",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        max_batch_size=256 * 2**10,
    )
    async with consumer, producer:
        consumer.assign([TopicPartition(REQUESTS, number) for number in range(PARTITIONS)])
        print(READY, flush=True)
        while True:
            fetched = await consumer.getmany(timeout_ms=500, max_records=500)
            sent = [
                await producer.send(
                    REPLIES, record.value, key=record.key, headers=list(record.headers)
                )
                for records in fetched.values()
                for record in records
            ]
            if sent:
                await asyncio.wait(sent)
                await consumer.commit()


if __name__ == "__main__":
    asyncio.run(echo(sys.argv[1]))
