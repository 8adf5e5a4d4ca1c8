"""A plain Kafka client that sends requests to the floor or the shop, and awaits replies."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.benchmarks.load import PARTITIONS, REPLIES, Command, as_record


class Requester:
    """Sends requests to a topic, and awaits their replies.

    Args:
        producer: sends the requests.
        consumer: has the partitions of the replies assigned.
    """

    def __init__(self, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> None:
        self._producer = producer
        self._consumer = consumer
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self._numbers = itertools.count()

    def customer(self, topic: str, command: Command) -> Callable[[int], object]:
        """Return a function that sends the request of a number, and awaits the reply."""

        async def ask(number: int) -> None:
            # Replies to an earlier measurement may still arrive.
            correlation_id = b"ask-%d" % next(self._numbers)
            key, value, headers = as_record(command(number), correlation_id)
            answered = asyncio.get_running_loop().create_future()
            self._waiting[correlation_id] = answered
            await self._producer.send(topic, value, key=key, headers=headers)
            await answered

        return ask

    async def listen(self) -> None:
        """Resolve replies until cancelled."""
        async for record in self._consumer:
            for _, value in record.headers[:1]:
                if answered := self._waiting.pop(value, None):
                    answered.set_result(None)


@asynccontextmanager
async def open_requester(bootstrap: str) -> AsyncIterator[Requester]:
    """A connected client."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, fetch_max_wait_ms=50)
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True
    )
    async with consumer, producer:
        partitions = [TopicPartition(REPLIES, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        ready = Requester(producer, consumer)
        listening = asyncio.create_task(ready.listen())
        try:
            yield ready
        finally:
            listening.cancel()
