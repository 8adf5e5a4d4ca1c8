"""Replies to topics of other people's, which may not be there or go away at any time.

They have a producer of their own, so that a topic that is missing delays nobody else. A
batch is settled when its replies have arrived, or are given up: that must not take long,
or one client's bad topic would hold up all others.
"""

import asyncio
import logging
from collections.abc import Iterable
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError, NodeNotReadyError
from cachetools import LRUCache, TTLCache

from agents.worker.press import Acked, Press
from topics.cluster import Cluster

if TYPE_CHECKING:
    from agents.runtime.outbox import Letter

PATIENCE = timedelta(seconds=5)
"""So long a topic may take nothing: deleted just now, without a leader or enough copies."""

PATIENCE_IN_A_CROWD = timedelta(seconds=0.5)
CROWD = 32
"""Half of the batches that may be open: the other half always makes room soon."""

ATTEMPTS = 2
"""That fail while Kafka answers. Where it does not, everything waits, and so do replies."""

ANSWERS_WITHIN = timedelta(seconds=1)
KNOWN_FOR = timedelta(seconds=5)
MAX_TOPICS = 10_000
PAUSE = timedelta(seconds=1)
AWAY = (KafkaConnectionError, NodeNotReadyError, OSError)

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
        self._stuck: TTLCache[str, str] = TTLCache(MAX_TOPICS, KNOWN_FOR.total_seconds())
        self._taken: LRUCache[str, float] = LRUCache(MAX_TOPICS)
        self._waiting = 0
        self._clients: asyncio.Task[tuple[Press, AIOKafkaAdminClient]] | None = None

    async def post(self, letters: "list[Letter]") -> None:
        """Send letters; return when they have arrived, or are given up."""
        self._waiting += 1
        patience = PATIENCE_IN_A_CROWD if self._waiting > CROWD else PATIENCE
        try:
            await asyncio.gather(
                *(self._send(each, patience) for each in _by_topic(letters))
            )
        finally:
            self._waiting -= 1

    async def _send(self, letters: "list[Letter]", patience: timedelta) -> None:
        """Send letters to one topic, as long as there is hope."""
        topic, failed = letters[0].topic, 0
        sending: asyncio.Task[None] | None = None
        while topic not in self._stuck:
            sending = sending or asyncio.create_task(self._try_to_send(topic, letters))
            began = monotonic()
            error = await _outcome(sending, patience)
            if error is None:
                return
            failed += await self._is_to_blame(topic, began)
            if failed == ATTEMPTS or not _may_pass(error):
                self._stuck[topic] = repr(error)
            elif sending.done():
                sending = None
                self._there.pop(topic, None)  # it may have gone with its broker
                await asyncio.sleep(PAUSE.total_seconds())
        if sending is not None:
            sending.cancel()
        log.warning("replies dropped topic=%s reason=%s", topic, self._stuck.get(topic))

    async def _is_to_blame(self, topic: str, since: float) -> bool:
        """Tell whether a topic has taken nothing, though Kafka is there."""
        return self._taken.get(topic, 0.0) < since and await self._kafka_answers()

    async def _kafka_answers(self) -> bool:
        try:
            async with asyncio.timeout(ANSWERS_WITHIN.total_seconds()):
                _, admin = await self._connected()
                await admin.describe_cluster()
        except (KafkaError, OSError):  # a timeout is one
            return False
        return True

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
        self._taken[topic] = monotonic()

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
            request_timeout_ms=PATIENCE // timedelta(milliseconds=1),
        )
        admin = AIOKafkaAdminClient(**options)
        await producer.start()
        await admin.start()
        return Press(lambda: producer, _note), admin


async def _outcome(sending: asyncio.Task[None], patience: timedelta) -> Exception | None:
    """Wait for so long; return what went wrong. What is slow is still under way then."""
    await asyncio.wait({sending}, timeout=patience.total_seconds())
    if not sending.done():
        return TimeoutError("it takes nothing")
    try:
        sending.result()
    except (KafkaError, OSError) as error:  # a timeout is one
        return error
    return None


def _may_pass(error: Exception) -> bool:
    return isinstance(error, AWAY) or (isinstance(error, KafkaError) and error.retriable)


def _note(sent: Acked) -> None:
    if not sent.cancelled() and (error := sent.exception()):
        log.debug("replies not taken reason=%r", error)


def _by_topic(letters: "list[Letter]") -> "Iterable[list[Letter]]":
    topics: dict[str, list[Letter]] = {}
    for letter in letters:
        topics.setdefault(letter.topic, []).append(letter)
    return topics.values()
