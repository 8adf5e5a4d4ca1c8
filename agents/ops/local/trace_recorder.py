"""What Kafka sees of one call: the records that follow from it, in all topics."""

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from topics.catalog import TOPICS
from topics.kafka.headers import TRACE, trace_id
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic, TopicKind

_PATIENCE_SECONDS = 10.0
_QUIET_MILLISECONDS = 400

TRACEPARENT = TRACE[0]


class TraceRecorder:
    """Follows every topic, and tells the records of one call from all the others.

    They are known by the caller's trace context, which rides from cause to effect.
    """

    def __init__(self, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer) -> None:
        self._consumer = consumer
        self._producer = producer

    async def send(self, topic: Topic, value: bytes, trace: str) -> None:
        """Ask something straight over Kafka: no key, no reply topic."""
        header = (TRACEPARENT, trace.encode())
        await self._producer.send_and_wait(topic.name, value, headers=[header])

    async def records_of(self, trace: str) -> list[ConsumerRecord[Any, Any]]:
        """Return the records of one call, once it was answered and all is quiet."""
        found: list[ConsumerRecord[Any, Any]] = []
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            batches = await self._consumer.getmany(timeout_ms=_QUIET_MILLISECONDS)
            records = (record for batch in batches.values() for record in batch)
            new = [one for one in records if _is_of(one, trace)]
            found += new
            if not new and any(one.topic.endswith(".replies") for one in found):
                break
        return sorted(found, key=lambda record: record.timestamp)


@asynccontextmanager
async def witness(cluster: KafkaSettings) -> AsyncIterator[TraceRecorder]:
    """Connect; what happened before is not looked at."""
    options = cluster.client_options()
    consumer, producer = AIOKafkaConsumer(**options), AIOKafkaProducer(**options)
    try:
        await consumer.start()
        await _follow(consumer, cluster.partitions)
        await producer.start()
        yield TraceRecorder(consumer, producer)
    finally:
        await consumer.stop()
        await producer.stop()


async def _follow(consumer: AIOKafkaConsumer, usual: int) -> None:
    partitions = [
        TopicPartition(topic.name, number)
        for topic in TOPICS
        if topic.kind is not TopicKind.CHANGELOG
        for number in range(topic.partitions or usual)
    ]
    consumer.assign(partitions)
    await consumer.seek_to_end()
    # A position is fetched when it is first asked for, and not before.
    for partition in partitions:
        await consumer.position(partition)


def _is_of(record: ConsumerRecord[Any, Any], trace: str) -> bool:
    """Tell by the trace's id: where spans are made, each hop has one of its own."""
    said = dict(record.headers).get(TRACEPARENT) or b""
    return trace_id(said) == trace_id(trace.encode())


def new_trace() -> str:
    """Return a W3C trace context of its own."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
