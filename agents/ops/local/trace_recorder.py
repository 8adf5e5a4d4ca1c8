"""The Kafka records that follow from one call, in all topics."""

import secrets
import time
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from topics.catalog import TOPICS
from topics.kafka.headers import TRACE, trace_id
from topics.kafka.request_reply import assign_at_end
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic, TopicKind

_TIMEOUT_SECONDS = 10.0
_QUIET_MS = 400

TRACEPARENT = TRACE[0]


class TraceRecorder:
    """Reads all topics from their ends on, and selects records by their trace.

    All records that follow from a call carry its trace context.

    Args:
        cluster: how to reach the brokers.
    """

    def __init__(self, cluster: KafkaSettings) -> None:
        options = cluster.client_options()
        self._partitions = cluster.partitions
        self._consumer = AIOKafkaConsumer(**options)
        self._producer = AIOKafkaProducer(**options)

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
            await assign_at_end(self._consumer, self._all_partitions())
            await self._producer.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()
        await self._producer.stop()

    async def send(self, topic: Topic, value: bytes, trace: str) -> None:
        """Send a request with neither key nor reply topic."""
        header = (TRACEPARENT, trace.encode())
        await self._producer.send_and_wait(topic.name, value, headers=[header])

    async def records_of(self, trace: str) -> list[ConsumerRecord[Any, Any]]:
        """Return the records of a trace, once a reply and no more records arrive."""
        found: list[ConsumerRecord[Any, Any]] = []
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            batches = await self._consumer.getmany(timeout_ms=_QUIET_MS)
            records = (record for batch in batches.values() for record in batch)
            new = [record for record in records if _has_trace(record, trace)]
            found += new
            if not new and any(record.topic.endswith(".replies") for record in found):
                break
        return sorted(found, key=lambda record: record.timestamp)

    def _all_partitions(self) -> list[TopicPartition]:
        return [
            TopicPartition(topic.name, number)
            for topic in TOPICS
            if topic.kind is not TopicKind.CHANGELOG
            for number in range(topic.partitions or self._partitions)
        ]


def _has_trace(record: ConsumerRecord[Any, Any], trace: str) -> bool:
    """Compare trace ids: with tracing on, each record has a span id of its own."""
    traceparent = dict(record.headers).get(TRACEPARENT) or b""
    return trace_id(traceparent) == trace_id(trace.encode())


def new_trace() -> str:
    """Return a new W3C trace context."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
