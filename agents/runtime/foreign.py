"""Replies to topics of other people's, which may not be there or go away at any time.

They have a producer of their own, so that a topic that is missing delays nobody else.
"""

import asyncio
import logging
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError, NodeNotReadyError
from cachetools import TTLCache

from agents.worker.press import Acked, Press
from topics.cluster import Cluster

if TYPE_CHECKING:
    from agents.runtime.outbox import Letter

GIVEN_UP_AFTER = timedelta(seconds=10)
"""When a topic that was there takes nothing any more, since it was deleted just now."""

KNOWN_FOR = timedelta(seconds=5)
MAX_TOPICS = 10_000
PAUSE = timedelta(seconds=1)
AWAY = (KafkaConnectionError, NodeNotReadyError)

log = logging.getLogger(__name__)


class ForeignReplies:
    """Posts replies to topics that are not the shop's.

    Args:
        cluster: how to reach the brokers.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._there: TTLCache[str, asyncio.Task[bool]] = TTLCache(
            MAX_TOPICS, KNOWN_FOR.total_seconds()
        )
        self._clients: asyncio.Task[tuple[Press, AIOKafkaAdminClient]] | None = None

    async def post(self, letters: "list[Letter]") -> None:
        """Send letters; return when they have arrived, or can't."""
        await asyncio.gather(*map(self._send, _by_topic(letters)))

    async def _send(self, letters: "list[Letter]") -> None:
        """Send letters to one topic, as long as there is hope."""
        topic = letters[0].topic
        while True:
            try:
                await self._try_to_send(topic, letters)
            except KafkaError as error:
                if not isinstance(error, AWAY) and not error.retriable:
                    log.warning("replies dropped topic=%s reason=%r", topic, error)
                    return
            else:
                return
            self._there.pop(topic, None)  # it may have gone with its broker
            await asyncio.sleep(PAUSE.total_seconds())

    async def _try_to_send(self, topic: str, letters: "list[Letter]") -> None:
        if not await self._is_there(topic):
            log.warning("replies dropped topic=%s reason=no-such-topic", topic)
            return
        press, _ = await self._connected()
        sent = {
            await press.send(topic, each.key, each.value, each.headers, each.partition)
            for each in letters
        }
        await asyncio.gather(*map(asyncio.shield, sent))

    async def _is_there(self, topic: str) -> bool:
        """Tell whether a topic exists; looked up once for all that wait for it."""
        there = self._there.get(topic)
        if there is None:
            there = self._there[topic] = asyncio.create_task(self._look_up(topic))
        return await asyncio.shield(there)

    async def _look_up(self, topic: str) -> bool:
        _, admin = await self._connected()
        (told,) = await admin.describe_topics([topic])
        return bool(told["partitions"])

    async def _connected(self) -> tuple[Press, AIOKafkaAdminClient]:
        failed = self._clients and self._clients.done() and self._clients.exception()
        if self._clients is None or failed:
            self._clients = asyncio.create_task(self._connect())
        return await asyncio.shield(self._clients)

    async def _connect(self) -> tuple[Press, AIOKafkaAdminClient]:
        options = self._cluster.client_options()
        producer = AIOKafkaProducer(
            **options,
            acks="all",  # and not idempotent: a record given up would leave a hole
            request_timeout_ms=GIVEN_UP_AFTER // timedelta(milliseconds=1),
        )
        admin = AIOKafkaAdminClient(**options)
        await producer.start()
        await admin.start()
        return Press(lambda: producer, _note), admin


def _note(sent: Acked) -> None:
    if not sent.cancelled() and (error := sent.exception()):
        log.warning("replies dropped reason=%r", error)


def _by_topic(letters: "list[Letter]") -> "Iterable[list[Letter]]":
    topics: dict[str, list[Letter]] = {}
    for letter in letters:
        topics.setdefault(letter.topic, []).append(letter)
    return topics.values()
