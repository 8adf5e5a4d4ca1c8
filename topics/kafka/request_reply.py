"""A client for tools: sends requests over Kafka, and receives their replies.

Replies arrive in a reply topic, `operator.replies` by default, which is created if it is
missing. Several tools may share it: each reads only replies to its own correlation ids.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from typing import Any, NamedTuple, Protocol, Self
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord, RecordMetadata

from topics.admin import create
from topics.catalog import DEFAULT_REPLIES, Reply
from topics.kafka import headers as names
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic, TopicKind

REPLIES = "operator.replies"
_POLL_MS = 100
_MAX_REQUEST_BYTES = 2**21
"""More than the default: a replayed dead letter may be larger than other records."""

_DELIVERY_TIMEOUT_MS = 30_000
_SHUTDOWN_SECONDS = 5


class _Record(Protocol):
    @property
    def topic(self) -> str: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class PendingReply(NamedTuple):
    """The possible results of a request: its first reply, or its dead letter."""

    reply: asyncio.Future[bytes]
    dead: asyncio.Future[ConsumerRecord]


def reply_topic(name: str) -> Topic:
    """Declare a reply topic of operators' tools."""
    return Topic(
        name,
        TopicKind.REPLIES,
        "Replies to operators' tools.",
        carries=Reply,
        partitions=1,
    )


class RequestReplyClient:
    """Sends requests, and receives their replies and dead letters.

    Args:
        cluster: the settings of the brokers.
        replies: the reply topic; None: requests name none, and services reply to their
            default reply topics.
        dlq_topics: dead letter topics to read as well.
        idempotent: whether a request is written once, and is retried without end. Else it
            may be written twice, which is harmless with an idempotency key, or time out.
    """

    def __init__(
        self,
        cluster: KafkaSettings,
        replies: str | None = REPLIES,
        dlq_topics: Iterable[str] = (),
        *,
        idempotent: bool = False,
    ) -> None:
        options = cluster.client_options()
        self._cluster = cluster
        self._replies = replies
        self._dlq_topics = frozenset(dlq_topics)
        self._producer = AIOKafkaProducer(
            **options,
            acks="all",
            enable_idempotence=idempotent,
            max_request_size=_MAX_REQUEST_BYTES,
            request_timeout_ms=_DELIVERY_TIMEOUT_MS,
        )
        self._consumer = AIOKafkaConsumer(
            **options, enable_auto_commit=False, fetch_max_wait_ms=_POLL_MS
        )
        self._pending: dict[bytes, PendingReply] = {}
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
            topic = self._replies
            if topic is not None and topic not in await self._consumer.topics():
                await create(self._cluster, [reply_topic(topic)])
            await self._producer.start()
            await assign_at_end(self._consumer, await self._partitions())
            self._reading = asyncio.create_task(self._read())
        except BaseException as error:
            await self.__aexit__(type(error))
            raise
        return self

    async def __aexit__(self, error: type[BaseException] | None = None, *_: object) -> None:
        if self._reading is not None:
            self._reading.cancel()
        await self._consumer.stop()
        try:
            # After an error nothing is left to send.
            async with asyncio.timeout(0 if error else _SHUTDOWN_SECONDS):
                await self._producer.stop()
        except TimeoutError:  # no broker acknowledges what is still buffered
            await self._producer.client.close()

    @asynccontextmanager
    async def request(
        self, record: _Record
    ) -> AsyncIterator[tuple[RecordMetadata, PendingReply]]:
        """Send a request; yield its metadata and its possible results."""
        correlation_id = uuid4().hex.encode()
        headers = [(names.CORRELATION_ID, correlation_id)]
        if self._replies is not None:
            headers.append((names.REPLY_TOPIC, self._replies.encode()))
        loop = asyncio.get_running_loop()
        pending = PendingReply(loop.create_future(), loop.create_future())
        self._pending[correlation_id] = pending
        try:
            sent = await self._producer.send_and_wait(
                record.topic,
                record.value,
                key=record.key,
                headers=[*headers, *record.headers],
            )
            yield sent, pending
        finally:
            del self._pending[correlation_id]

    async def drain(self) -> None:
        """Wait until all records that the topics hold now are read."""
        ends = await self._consumer.end_offsets(self._consumer.assignment())
        for tp, end in ends.items():
            while await self._consumer.position(tp) < end:  # noqa: ASYNC110
                await asyncio.sleep(_POLL_MS / 1000)

    async def _partitions(self) -> list[TopicPartition]:
        default = {topic.name for topic in DEFAULT_REPLIES.values()}
        replies = default if self._replies is None else {self._replies}
        return [
            TopicPartition(topic, partition)
            for topic in replies | self._dlq_topics
            for partition in await self._producer.partitions_for(topic)
        ]

    async def _read(self) -> None:
        while True:
            fetched = await self._consumer.getmany(timeout_ms=_POLL_MS)
            for record in chain.from_iterable(fetched.values()):
                self._resolve(record)

    def _resolve(self, record: ConsumerRecord) -> None:
        correlation_id = dict(record.headers).get(names.CORRELATION_ID) or b""
        if (pending := self._pending.get(correlation_id)) is None:
            return
        is_dead = record.topic in self._dlq_topics
        future: asyncio.Future[Any] = pending.dead if is_dead else pending.reply
        if not future.done():
            future.set_result(record if is_dead else record.value or b"")


async def assign_at_end(consumer: AIOKafkaConsumer, tps: list[TopicPartition]) -> None:
    """Assign partitions, each from its current end on."""
    consumer.assign(tps)
    for tp, end in (await consumer.end_offsets(tps)).items():
        consumer.seek(tp, end)
