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
from aiokafka.errors import KafkaError
from cachetools import TTLCache

from agents.worker.press import Acked, Press
from topics.cluster import Cluster

if TYPE_CHECKING:
    from agents.runtime.outbox import Letter

PATIENCE = timedelta(seconds=2)
"""How long such a reply may keep its cause from being committed."""

KNOWN_FOR = timedelta(seconds=5)
MAX_TOPICS = 10_000
MAX_WAITING = 10_000

log = logging.getLogger(__name__)


class ForeignReplies:
    """Posts replies to topics that are not the shop's.

    Args:
        cluster: how to reach the brokers.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._there: TTLCache[str, bool] = TTLCache(MAX_TOPICS, KNOWN_FOR.total_seconds())
        self._looking_up: dict[str, asyncio.Task[bool]] = {}
        self._waiting = 0
        self._clients: asyncio.Task[tuple[Press, AIOKafkaAdminClient]] | None = None

    async def post(self, letters: "list[Letter]") -> None:
        """Send letters; return when they have arrived, or were given up."""
        if self._waiting + len(letters) > MAX_WAITING:
            log.warning("replies dropped number=%d reason=too-many-waiting", len(letters))
            return
        self._waiting += len(letters)
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                await asyncio.gather(*map(self._send, _by_topic(letters)))
        except (KafkaError, TimeoutError) as error:
            log.warning("replies dropped number=%d reason=%r", len(letters), error)
        finally:
            self._waiting -= len(letters)

    async def _send(self, letters: "list[Letter]") -> None:
        """Send letters to one topic."""
        topic = letters[0].topic
        there = self._there.get(topic)
        if there is None:
            there = await self._look_up(topic)
        if not there:
            log.warning("replies dropped topic=%s reason=no-such-topic", topic)
            return
        press, _ = await self._connected()
        sent = {
            await press.send(topic, each.key, each.value, each.headers, each.partition)
            for each in letters
        }
        await asyncio.wait(sent)

    async def _look_up(self, topic: str) -> bool:
        """Find out whether a topic is there; once for all that wait for it."""
        if topic not in self._looking_up:
            self._looking_up[topic] = asyncio.create_task(self._is_there(topic))
            self._looking_up[topic].add_done_callback(
                lambda _: self._looking_up.pop(topic, None)
            )
        return await asyncio.shield(self._looking_up[topic])

    async def _is_there(self, topic: str) -> bool:
        _, admin = await self._connected()
        (told,) = await admin.describe_topics([topic])
        self._there[topic] = bool(told["partitions"])
        return self._there[topic]

    async def _connected(self) -> tuple[Press, AIOKafkaAdminClient]:
        failed = self._clients and self._clients.done() and self._clients.exception()
        if self._clients is None or failed:
            self._clients = asyncio.create_task(self._connect())
        return await asyncio.shield(self._clients)

    async def _connect(self) -> tuple[Press, AIOKafkaAdminClient]:
        options = self._cluster.client_options()
        producer = AIOKafkaProducer(**options, acks="all", enable_idempotence=True)
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
