"""Replies to topics of other people's, which may not be there or go away at any time.

They have a producer of their own, so that a topic that is missing delays nobody else. A
batch is settled when its replies have arrived, or have been waited for: that must not take
long, or one client's bad topic would hold up all others.
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
from cachetools import TTLCache

from agents.worker.failstop import die
from agents.worker.press import Acked, Press
from topics.cluster import Cluster

if TYPE_CHECKING:
    from agents.runtime.outbox import Letter

PATIENCE = timedelta(seconds=5)
"""So long a batch waits for replies to a topic that takes nothing."""

PATIENCE_IN_A_CROWD = timedelta(seconds=0.5)
CROWD = 32
"""Half of the batches that may be open: the other half always makes room soon."""

GIVEN_UP_AFTER = timedelta(minutes=10)
MAX_LATE_BYTES = 32 * 2**20
"""Of replies that are late; what passes that is dropped (R10)."""

_LETTER_BYTES = 2**10  # beside its value

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
        self._waiting = 0
        self._bytes = 0
        self._sending: set[asyncio.Task[None]] = set()
        self._clients: asyncio.Task[tuple[Press, AIOKafkaAdminClient]] | None = None

    async def post(self, letters: "list[Letter]") -> None:
        """Send letters; return when they have arrived, or need not be waited for.

        A broker that dies takes its topics along until others lead them: so what is late
        is still sent then. Only a crash before that loses it; whoever asks again, hears it.
        """
        sending = {asyncio.create_task(self._send(each)) for each in _by_topic(letters)}
        self._sending |= sending
        for task in sending:
            task.add_done_callback(self._done)
        self._waiting += 1
        patience = PATIENCE_IN_A_CROWD if self._waiting > CROWD else PATIENCE
        try:
            await asyncio.wait(sending, timeout=patience.total_seconds())
        finally:
            self._waiting -= 1

    def _done(self, sending: asyncio.Task[None]) -> None:
        self._sending.discard(sending)
        if not sending.cancelled() and sending.exception() is not None:
            die("replies could not be sent: %r", sending.exception())

    async def _send(self, letters: "list[Letter]") -> None:
        """Send letters to one topic, as long as there is hope."""
        topic, deadline = letters[0].topic, monotonic() + GIVEN_UP_AFTER.total_seconds()
        size = sum(len(each.value or b"") + _LETTER_BYTES for each in letters)
        self._bytes += size
        try:
            while why := await self._refused(topic, letters):
                if self._is_hopeless(why, deadline):
                    log.warning("replies dropped topic=%s reason=%r", topic, why)
                    return
                self._there.pop(topic, None)  # it may have gone with its broker
                await asyncio.sleep(PAUSE.total_seconds())
        finally:
            self._bytes -= size

    async def _refused(self, topic: str, letters: "list[Letter]") -> Exception | None:
        """Try to send; return why it could not be done."""
        try:
            await self._try_to_send(topic, letters)
        except (KafkaError, OSError) as error:  # a timeout is one
            return error
        return None

    def _is_hopeless(self, why: Exception, deadline: float) -> bool:
        passing = isinstance(why, AWAY) or (isinstance(why, KafkaError) and why.retriable)
        return not passing or monotonic() > deadline or self._bytes > MAX_LATE_BYTES

    async def _try_to_send(self, topic: str, letters: "list[Letter]") -> None:
        if not await self._is_there(topic):
            log.warning("replies dropped topic=%s reason=no-such-topic", topic)
            return
        press, _ = await self._connected()
        sent = {
            await press.send(topic, each.key, each.value, each.headers, each.partition)
            for each in letters
        }
        await asyncio.gather(*sent)

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


def _note(sent: Acked) -> None:
    if not sent.cancelled() and (error := sent.exception()):
        log.debug("replies not taken reason=%r", error)


def _by_topic(letters: "list[Letter]") -> "Iterable[list[Letter]]":
    topics: dict[str, list[Letter]] = {}
    for letter in letters:
        topics.setdefault(letter.topic, []).append(letter)
    return topics.values()
