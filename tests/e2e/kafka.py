"""A Kafka client for tests: sends records, receives replies, and reads all topics."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import RecordMetadata

from tests.e2e.records import CORRELATION_ID, REPLY_TOPIC, Record
from topics.catalog import TOPICS
from topics.kafka import compat
from topics.kafka.settings import KafkaSettings
from topics.kafka.topic_admin import TopicAdmin

WITHIN_SECONDS = 60.0
_FETCH_WAIT_MS = 100
_FROZEN_AFTER_MS = 5000
"""A request without a response for so long is retried, at another broker if possible."""


class Kafka:
    """A producer, a reply topic, and a consumer of every topic.

    Attributes:
        replies: the name of its reply topic.
        seen: every record of every topic of the shop, by topic.
    """

    def __init__(self, cluster: KafkaSettings, replies: str = "e2e.replies") -> None:
        self.replies = replies
        self.seen: defaultdict[str, list[ConsumerRecord]] = defaultdict(list)
        self._cluster = cluster
        self._waiting: dict[bytes, asyncio.Future[ConsumerRecord]] = {}
        self._numbers = count(1)
        self._news = asyncio.Condition()

    async def start(self) -> None:
        """Connect, create the reply topic, and start to read."""
        compat.apply()  # some tests send headers that aiokafka can't decode
        where = self._cluster.client_options()
        await self.create(self.replies)
        self.producer = AIOKafkaProducer(
            **where,
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=_FROZEN_AFTER_MS,
            metadata_max_age_ms=_FROZEN_AFTER_MS,
        )
        await self.producer.start()
        await self._start_reading()

    async def read_again(self, cluster: KafkaSettings) -> None:
        """Read all topics from their beginnings, after they were created again."""
        self._cluster = cluster
        await self._stop_reading()
        self.seen.clear()
        await self._start_reading()

    async def _start_reading(self) -> None:
        self._consumer = AIOKafkaConsumer(
            **self._cluster.client_options(),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            metadata_max_age_ms=_FROZEN_AFTER_MS,
        )
        await self._consumer.start()
        topics = [*(topic.name for topic in TOPICS), self.replies]
        admin = AIOKafkaAdminClient(**self._cluster.client_options())
        await admin.start()
        self._consumer.assign(
            [
                TopicPartition(topic["topic"], partition["partition"])
                for topic in await admin.describe_topics(topics)
                for partition in topic["partitions"]
            ]
        )
        await admin.close()
        self._reading = asyncio.create_task(self._read())

    async def stop(self) -> None:
        """Disconnect."""
        await self._stop_reading()
        await self.producer.stop()

    async def _stop_reading(self) -> None:
        self._reading.cancel()
        # aiokafka raises its own cancellation if a fetch has just failed.
        with suppress(asyncio.CancelledError):
            await self._consumer.stop()

    async def create(self, topic: str, partitions: int = 2, **config: str) -> None:
        """Create a topic, with settings if given (their dots are written as `_`)."""
        copies = self._cluster.kafka_replication
        different = {name.replace("_", "."): value for name, value in config.items()}
        settings = self._cluster.durability | different
        wanted = NewTopic(topic, partitions, copies, topic_configs=settings)
        async with TopicAdmin(self._cluster) as admin:
            await admin.create([wanted])

    async def send(self, outgoing: Record) -> RecordMetadata:
        """Send a record; return when the broker has acknowledged it."""
        return await self.producer.send_and_wait(
            outgoing.topic,
            outgoing.value,
            key=outgoing.key,
            partition=outgoing.partition,
            headers=list(outgoing.headers),
        )

    @property
    def bootstrap(self) -> str:
        """The address of the broker."""
        return self._cluster.kafka

    @property
    def partitions(self) -> int:
        """The number of partitions of each request topic."""
        return self._cluster.partitions

    def correlation_id(self) -> bytes:
        """Return a new one."""
        return f"e2e-{next(self._numbers)}".encode()

    async def ask(
        self, outgoing: Record, correlation_id: bytes | None = None
    ) -> ConsumerRecord:
        """Send a record and return the reply to it.

        Raises:
            TimeoutError: no reply arrived.
        """
        if correlation_id is None:
            correlation_id = self.correlation_id()
        request = outgoing.with_headers(
            (CORRELATION_ID, correlation_id), (REPLY_TOPIC, self.replies.encode())
        )
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[correlation_id] = waiting
        try:
            async with asyncio.timeout(WITHIN_SECONDS):
                await self.send(request)
                return await waiting
        finally:
            del self._waiting[correlation_id]

    @asynccontextmanager
    async def reading(self, topic: str) -> AsyncIterator[list[ConsumerRecord]]:
        """Read a topic that is not the shop's, too."""
        records: list[ConsumerRecord] = []
        consumer = AIOKafkaConsumer(
            **self._cluster.client_options(),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        there = await self.producer.partitions_for(topic)
        consumer.assign([TopicPartition(topic, partition) for partition in there])

        async def read() -> None:
            while True:
                records.append(await consumer.getone())

        reading = asyncio.create_task(read())
        yield records
        reading.cancel()
        await consumer.stop()

    async def lag(self, group: str, topic: str) -> int:
        """Return the number of records of a topic that a group has not committed."""
        admin = AIOKafkaAdminClient(**self._cluster.client_options())
        await admin.start()
        committed = await admin.list_consumer_group_offsets(group)
        await admin.close()
        there = [tp for tp in self._consumer.assignment() if tp.topic == topic]
        ends = await self._consumer.end_offsets(there)
        done = {tp: committed[tp].offset for tp in there if tp in committed}
        return sum(end - done.get(tp, 0) for tp, end in ends.items())

    async def find(
        self,
        topic: str,
        match: Callable[[ConsumerRecord], bool],
        number: int = 1,
        within: float = WITHIN_SECONDS,
    ) -> list[ConsumerRecord]:
        """Wait until a number of records of a topic match; return all that do."""
        records, found, looked_at = self.seen[topic], [], 0
        deadline = time.monotonic() + within
        while True:
            found += filter(match, records[looked_at:])
            looked_at = len(records)
            if len(found) >= number:
                return found
            left = deadline - time.monotonic()
            assert left > 0, f"{len(found)} of {number} records in {topic}: {found}"
            await self._more(left)

    async def drain(self) -> None:
        """Wait until all records that the topics hold now are read."""
        ends = await self._consumer.end_offsets(self._consumer.assignment())
        deadline = time.monotonic() + WITHIN_SECONDS
        for tp, end in ends.items():
            while await self._consumer.position(tp) < end:
                assert time.monotonic() < deadline, f"{tp} has not been read to {end}"
                await self._more(WITHIN_SECONDS)

    async def _more(self, within: float) -> None:
        """Wait until records have been read, for a limited time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within), self._news:
                await self._news.wait()

    async def _read(self) -> None:
        while True:
            for records in (await self._consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    self._take(record)
            async with self._news:
                self._news.notify_all()

    def _take(self, record: ConsumerRecord) -> None:
        self.seen[record.topic].append(record)
        if record.topic == self.replies:
            waiting = self._waiting.get(dict(record.headers).get(CORRELATION_ID))
            if waiting is not None and not waiting.done():
                waiting.set_result(record)
