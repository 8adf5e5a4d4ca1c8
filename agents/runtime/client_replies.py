"""Sends replies to topics of clients, which may be missing or vanish at any time.

These replies have a separate producer, so that a missing topic delays no other record. A
batch is complete when its replies are acknowledged or their timeout has passed. The timeout
is short, so that the bad topic of one client delays others little.
"""

import asyncio
import logging
from collections import defaultdict
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError, NodeNotReadyError
from cachetools import TTLCache

from agents.runtime.fail_stop import BackgroundTasks
from agents.runtime.producer import BatchingProducer, DeliveryFuture, ProducerRecord
from agents.runtime.transaction import MAX_BATCH_BYTES
from topics.kafka.settings import KafkaSettings

SEND_TIMEOUT = timedelta(seconds=5)
"""The time that a batch waits for replies to an unavailable topic."""

SEND_TIMEOUT_UNDER_LOAD = timedelta(seconds=0.5)
LOAD_THRESHOLD = 2
"""Half of the full batches that may be in flight: the other half completes soon."""

DELIVERY_TIMEOUT = timedelta(minutes=10)
MAX_BUFFERED_BYTES = 32 * 2**20  # limit of late replies; above it they are dropped
_RECORD_OVERHEAD_BYTES = 2**10  # in addition to the value

METADATA_TTL = timedelta(seconds=5)
MAX_TOPICS = 10_000
RETRY_BACKOFF = timedelta(seconds=1)
CLOSE_TIMEOUT = timedelta(seconds=1)  # of a broker that is away
TRANSIENT_ERRORS = (KafkaConnectionError, NodeNotReadyError, OSError)

log = logging.getLogger(__name__)


class _Clients(NamedTuple):
    raw: AIOKafkaProducer
    producer: BatchingProducer
    admin: AIOKafkaAdminClient


class ClientReplyProducer:
    """Sends replies to topics of clients; a worker has one."""

    def __init__(self, cluster: KafkaSettings) -> None:
        self._cluster = cluster
        self._known_topics = TTLCache[str, bool](MAX_TOPICS, METADATA_TTL.total_seconds())
        self._waiting = 0
        self._bytes = 0
        self._sending = BackgroundTasks()
        self._clients: asyncio.Task[_Clients] | None = None

    async def send(self, records: list[ProducerRecord]) -> None:
        """Send replies; return when they are acknowledged, or after the timeout.

        Late replies are still sent, for example when another broker leads the topic.
        Only a crash before that loses them; a retry of the client gets the reply again.
        """
        by_topic = defaultdict[str, list[ProducerRecord]](list)
        for record in records:
            by_topic[record.topic].append(record)
        sending = [
            self._sending.start(self._deliver(topic, of_topic))
            for topic, of_topic in by_topic.items()
        ]
        self._waiting += 1
        under_load = self._waiting > LOAD_THRESHOLD
        timeout = SEND_TIMEOUT_UNDER_LOAD if under_load else SEND_TIMEOUT
        try:
            await asyncio.wait(sending, timeout=timeout.total_seconds())
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Disconnect; late replies are dropped."""
        for task in self._sending:
            task.cancel()
        if self._clients is None:
            return
        with suppress(*TRANSIENT_ERRORS, TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT.total_seconds()):
                clients = await self._clients
                await clients.raw.stop()
                await clients.admin.close()

    async def _deliver(self, topic: str, records: list[ProducerRecord]) -> None:
        """Send replies to one topic; retry until a fatal error."""
        deadline = monotonic() + DELIVERY_TIMEOUT.total_seconds()
        size = sum(len(record.value or b"") + _RECORD_OVERHEAD_BYTES for record in records)
        self._bytes += size
        try:
            while error := await self._attempt(topic, records):
                if self._is_fatal(error, deadline):
                    log.warning("event=replies-dropped topic=%s reason=%r", topic, error)
                    return
                self._known_topics.pop(topic, None)  # its broker may have failed
                await asyncio.sleep(RETRY_BACKOFF.total_seconds())
        finally:
            self._bytes -= size

    async def _attempt(self, topic: str, records: list[ProducerRecord]) -> Exception | None:
        try:
            if await self._exists(topic):
                producer = (await self._connected()).producer
                await asyncio.gather(*{await producer.send(record) for record in records})
            else:
                log.warning("event=replies-dropped topic=%s reason=no-such-topic", topic)
        except (KafkaError, OSError) as error:  # includes timeouts
            return error
        return None

    def _is_fatal(self, error: Exception, deadline: float) -> bool:
        transient = isinstance(error, TRANSIENT_ERRORS) or (
            isinstance(error, KafkaError) and error.retriable
        )
        return not transient or monotonic() > deadline or self._bytes > MAX_BUFFERED_BYTES

    async def _exists(self, topic: str) -> bool:
        known = self._known_topics.get(topic)
        if known is None:
            admin = (await self._connected()).admin
            (description,) = await admin.describe_topics([topic])
            known = self._known_topics[topic] = bool(description["partitions"])
        return known

    async def _connected(self) -> _Clients:
        failed = self._clients and self._clients.done() and self._clients.exception()
        if self._clients is None or failed:
            self._clients = asyncio.create_task(self._connect())
        return await asyncio.shield(self._clients)

    async def _connect(self) -> _Clients:
        options = self._cluster.client_options()
        raw = AIOKafkaProducer(
            **options,
            acks="all",  # not idempotent: a dropped record would leave a gap
            max_batch_size=MAX_BATCH_BYTES,
            request_timeout_ms=SEND_TIMEOUT // timedelta(milliseconds=1),
        )
        admin = AIOKafkaAdminClient(**options)
        await raw.start()
        await admin.start()
        return _Clients(raw, BatchingProducer(lambda: raw, _log_failure), admin)


def _log_failure(delivery: DeliveryFuture) -> None:
    if not delivery.cancelled() and (error := delivery.exception()):
        log.debug("event=replies-refused reason=%r", error)
