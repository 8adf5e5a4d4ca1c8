"""The floor: what bare aiokafka does, consume → produce, acks=all, nothing else.

    python -m tests.bench.echo BOOTSTRAP
    python -m tests.bench.echo BOOTSTRAP stock.requests ANSWER

With a topic and an answer it stands in for a worker: it gives the same answer to whatever
is asked there from now on, where the headers say.
"""

import asyncio
import sys
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from tests.bench.load import PARTITIONS, REPLIES
from topics.conversation import CORRELATION_ID, REPLY_PARTITION, REPLY_TOPIC

REQUESTS = "bench.requests"


async def serve(bootstrap: str, topic: str = REQUESTS, answer: str | None = None) -> None:
    """Send every record back, or the answer to it, for ever; commit as a worker does."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id="bench.echo",
        enable_auto_commit=False,
        auto_offset_reset="earliest" if answer is None else "latest",
        fetch_max_wait_ms=50,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        max_batch_size=256 * 2**10,
    )
    async with consumer, producer:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        if answer is not None:
            await consumer.seek_to_end(*partitions)
        while True:
            fetched = await consumer.getmany(timeout_ms=500, max_records=500)
            records = [record for some in fetched.values() for record in some]
            if records:
                await _reply(producer, records, answer)
                await consumer.commit()


async def _reply(
    producer: AIOKafkaProducer, records: Iterable[ConsumerRecord], answer: str | None
) -> None:
    if answer is None:
        sent = [
            await producer.send(
                REPLIES, record.value, key=record.key, headers=list(record.headers)
            )
            for record in records
        ]
    else:
        sent = [await _answer(producer, record, answer.encode()) for record in records]
    await asyncio.wait(sent)


async def _answer(
    producer: AIOKafkaProducer, record: ConsumerRecord, value: bytes
) -> asyncio.Future:
    said = dict(record.headers)
    return await producer.send(
        said[REPLY_TOPIC].decode(),
        value,
        headers=[(CORRELATION_ID, said[CORRELATION_ID])],
        partition=int.from_bytes(said[REPLY_PARTITION], "big"),
    )


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
