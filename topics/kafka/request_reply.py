"""A tool's own conversation with the shop: requests out, and what becomes of them.

Replies come into a topic like any client's (`operator.replies` unless another is named),
which is made if it is not there. Several tools may share it: each knows its own replies.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import chain, count
from typing import NamedTuple, Self, TypeVar
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.structs import ConsumerRecord, RecordMetadata

from agents.runtime.collector import ProducerRecord
from schemas.reply import Reply
from topics.admin import create
from topics.kafka import headers as names
from topics.kafka.lenient_records import LenientRecords
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic, TopicKind

REPLIES = "operator.replies"
_KEEP = timedelta(hours=1)
_POLL_MS = 100
_MAX_BYTES = 2**21
"""Of a request: a dead letter may be larger than other records."""

_TAKES = timedelta(seconds=30)
_GOODBYE_SECONDS = 5

T = TypeVar("T")


class PendingReply(NamedTuple):
    """What may become of a request.

    Attributes:
        reply: the first reply to it.
        dead: the dead letter that it is now.
    """

    reply: asyncio.Future[bytes]
    dead: asyncio.Future[ConsumerRecord]


def reply_topic(name: str) -> Topic:
    """Return a topic for replies as it is made where there is none."""
    doc = "Replies to tools of whoever runs the shop."
    return Topic(name, TopicKind.REPLIES, doc, carries=Reply, retention=_KEEP, partitions=1)


class RequestReplyClient:
    """Sends requests, and hears what becomes of them.

    Args:
        cluster: how to reach the brokers.
        replies: the topic for replies.
        graves: topics of dead letters to be watched as well.
    """

    def __init__(
        self, cluster: KafkaSettings, replies: str = REPLIES, dlq_topics: Iterable[str] = ()
    ) -> None:
        fetcher.MemoryRecords = LenientRecords  # as the workers do
        options = cluster.client_options()
        self._cluster = cluster
        self._replies = replies
        self._graves = tuple(dlq_topics)
        self._producer = AIOKafkaProducer(
            **options,
            acks="all",  # and not idempotent: what comes twice counts once anyway
            max_request_size=_MAX_BYTES,
            request_timeout_ms=_TAKES // timedelta(milliseconds=1),
        )
        self._consumer = AIOKafkaConsumer(
            **options, enable_auto_commit=False, fetch_max_wait_ms=_POLL_MS
        )
        self._waiting: dict[bytes, PendingReply] = {}
        self._run = uuid4().hex
        self._numbers = count(1)
        self._news = asyncio.Condition()
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
            await self._make_replies()
            await self._producer.start()
            await self._listen()
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
            async with asyncio.timeout(0 if error else _GOODBYE_SECONDS):
                await self._producer.stop()
        except TimeoutError:  # Kafka has gone, and takes no more
            await self._producer.client.close()

    @asynccontextmanager
    async def request(
        self, letter: ProducerRecord
    ) -> AsyncIterator[tuple[RecordMetadata, PendingReply]]:
        """Send a request; yield where it lies, and what may become of it."""
        correlation_id = f"{self._run}-{next(self._numbers)}".encode()
        conversation = [
            (names.CORRELATION_ID, correlation_id),
            (names.REPLY_TOPIC, self._replies.encode()),
        ]
        loop = asyncio.get_running_loop()
        call = PendingReply(loop.create_future(), loop.create_future())
        self._waiting[correlation_id] = call
        try:
            sent = await self._producer.send_and_wait(
                letter.topic,
                letter.value,
                key=letter.key,
                headers=conversation + letter.headers,
            )
            yield sent, call
        finally:
            del self._waiting[correlation_id]

    async def drain(self) -> None:
        """Wait until all has been heard that had been said by now."""
        ends = await self._consumer.end_offsets(self._consumer.assignment())
        for tp, end in ends.items():
            while await self._consumer.position(tp) < end:
                async with self._news:
                    await self._news.wait()

    async def _make_replies(self) -> None:
        if self._replies not in await self._consumer.topics():
            await create(self._cluster, [reply_topic(self._replies)])

    async def _listen(self) -> None:
        """Hear what is said from now on."""
        there = [
            TopicPartition(topic, partition)
            for topic in (self._replies, *self._graves)
            for partition in await self._producer.partitions_for(topic)
        ]
        self._consumer.assign(there)
        for tp, end in (await self._consumer.end_offsets(there)).items():
            self._consumer.seek(tp, end)
        self._reading = asyncio.create_task(self._hear())

    async def _hear(self) -> None:
        while True:
            heard = await self._consumer.getmany(timeout_ms=_POLL_MS)
            for record in chain.from_iterable(heard.values()):
                self._take(record)
            async with self._news:
                self._news.notify_all()

    def _take(self, record: ConsumerRecord) -> None:
        call = self._waiting.get(dict(record.headers).get(names.CORRELATION_ID) or b"")
        if call is None:
            return
        if record.topic in self._graves:
            _settle(call.dead, record)
        else:
            _settle(call.reply, record.value or b"")


def _settle(waiting: asyncio.Future[T], what: T) -> None:
    """Note what is heard first."""
    if not waiting.done():
        waiting.set_result(what)
