"""Replies to topics of other people's, which may not be there or go away at any time.

They have a producer of their own, so that a topic that is missing delays nobody else.
"""

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata
from cachetools import TTLCache

from topics.cluster import Cluster

if TYPE_CHECKING:
    from agents.runtime.outbox import Letter

PATIENCE = timedelta(seconds=2)
"""How long a commit waits for such a reply before it is given up."""

REMEMBERED = timedelta(seconds=5)
MAX_TOPICS = 10_000
MAX_POSTING = 10_000

log = logging.getLogger(__name__)


class ForeignReplies:
    """Posts replies to topics that are not the shop's.

    Args:
        cluster: how to reach the brokers.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._partitions: TTLCache[str, int] = TTLCache(MAX_TOPICS, REMEMBERED.seconds)
        self._posting: set[asyncio.Task[RecordMetadata | None]] = set()
        self._clients: asyncio.Task[tuple[AIOKafkaProducer, AIOKafkaAdminClient]] | None = (
            None
        )

    def post(self, letter: "Letter") -> "asyncio.Future[RecordMetadata | None]":
        """Send a letter; the future is done when it has arrived or was given up."""
        if len(self._posting) >= MAX_POSTING:
            log.warning("reply dropped topic=%s reason=too-many-waiting", letter.topic)
            dropped: asyncio.Future[RecordMetadata | None] = asyncio.Future()
            dropped.set_result(None)
            return dropped
        task = asyncio.create_task(self._post(letter))
        self._posting.add(task)
        task.add_done_callback(self._posting.discard)
        return task

    async def _post(self, letter: "Letter") -> RecordMetadata | None:
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                producer, _ = await self._connected()
                partitions = await self._partitions_of(letter.topic)
                if not partitions:
                    log.warning("reply dropped topic=%s reason=no-such-topic", letter.topic)
                    return None
                wanted = letter.partition
                return await producer.send_and_wait(
                    letter.topic,
                    letter.value,
                    key=letter.key,
                    partition=wanted if wanted in range(partitions) else None,
                    headers=letter.headers,
                )
        except (KafkaError, TimeoutError) as error:
            log.warning("reply dropped topic=%s reason=%r", letter.topic, error)
            return None

    async def _partitions_of(self, topic: str) -> int:
        """Return how many partitions a topic has; 0: it is not there."""
        known = self._partitions.get(topic)
        if known is None:
            _, admin = await self._connected()
            (told,) = await admin.describe_topics([topic])
            known = self._partitions[topic] = len(told["partitions"])
        return known

    async def _connected(self) -> tuple[AIOKafkaProducer, AIOKafkaAdminClient]:
        if self._clients is None or (self._clients.done() and self._clients.exception()):
            self._clients = asyncio.create_task(self._connect())
        return await asyncio.shield(self._clients)

    async def _connect(self) -> tuple[AIOKafkaProducer, AIOKafkaAdminClient]:
        options = self._cluster.client_options()
        producer = AIOKafkaProducer(**options, acks="all", enable_idempotence=True)
        admin = AIOKafkaAdminClient(**options)
        await producer.start()
        await admin.start()
        return producer, admin

    async def stop(self) -> None:
        """Close the connections, if there are any."""
        if self._clients is not None:
            producer, admin = await self._clients
            await producer.stop()
            await admin.close()
