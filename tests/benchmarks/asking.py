"""A plain Kafka client that asks and awaits the reply, as the floor and the shop get it."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.benchmarks.load import PARTITIONS, REPLIES, Command, as_record


class Asker:
    """Asks over a request topic.

    Args:
        producer: sends the requests.
        consumer: is assigned to the replies.
    """

    def __init__(self, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> None:
        self._producer = producer
        self._consumer = consumer
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self._numbers = itertools.count()

    def customer(self, topic: str, command: Command) -> Callable[[int], object]:
        """Return somebody who asks the same kind of thing again and again."""

        async def ask(number: int) -> None:
            # Replies to an earlier measurement may still come in.
            correlation_id = b"ask-%d" % next(self._numbers)
            key, value, headers = as_record(command(number), correlation_id)
            answered = asyncio.get_running_loop().create_future()
            self._waiting[correlation_id] = answered
            await self._producer.send(topic, value, key=key, headers=headers)
            await answered

        return ask

    async def listen(self) -> None:
        """Hand replies over for ever."""
        async for record in self._consumer:
            for _, value in record.headers[:1]:
                if answered := self._waiting.pop(value, None):
                    answered.set_result(None)


@asynccontextmanager
async def asker(bootstrap: str) -> AsyncIterator[Asker]:
    """A client that is ready to ask."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, fetch_max_wait_ms=50)
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True
    )
    async with consumer, producer:
        partitions = [TopicPartition(REPLIES, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        ready = Asker(producer, consumer)
        listening = asyncio.create_task(ready.listen())
        try:
            yield ready
        finally:
            listening.cancel()
