"""Sends requests to Kafka."""

import asyncio
import logging
from datetime import timedelta
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from gateway.problems import Problem
from gateway.routes import ROUTES
from schemas.contract import Code, Contract
from topics.catalog import TOPIC_OF

Headers = list[tuple[str, bytes]]
DeliveryFuture = asyncio.Future[RecordMetadata]

TIMEOUT = timedelta(seconds=5)
METADATA_MAX_AGE = timedelta(seconds=30)
BATCH_BYTES = 2**17
RETRY = timedelta(milliseconds=500)

log = logging.getLogger(__name__)


class RequestProducer:
    """An idempotent producer, replaced by a new one when it breaks.

    A batch that the broker refuses leaves a gap in the producer's sequence numbers. The
    partition then refuses all later batches. So a refusal ends the producer. Retriable
    errors do not: they are retried without a limit of time.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options | {
            "client_id": "gateway-requests",
            "acks": "all",
            "enable_idempotence": True,
            "linger_ms": 0,
            "max_batch_size": BATCH_BYTES,
            "request_timeout_ms": TIMEOUT // timedelta(milliseconds=1),
            "metadata_max_age_ms": METADATA_MAX_AGE // timedelta(milliseconds=1),
        }
        self._producer: AIOKafkaProducer | None = None
        self._broken = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether requests can be sent."""
        return self._producer is not None

    async def run(self) -> None:
        """Run producers, one after the other, until cancelled."""
        while True:
            producer = AIOKafkaProducer(**self._options)
            try:
                await producer.start()
                for name in {TOPIC_OF[route.request].name for route in ROUTES}:
                    # Else the first request of each topic would wait for the metadata.
                    await producer.partitions_for(name)
                self._broken.clear()
                self._producer = producer
                await self._broken.wait()
            except KafkaError as error:
                log.warning("event=producer-failed error=%r", error)
            finally:
                self._producer = None
                await _stop(producer)
            await asyncio.sleep(RETRY.total_seconds())

    async def send(self, message: Contract, headers: Headers) -> DeliveryFuture:
        """Enqueue a record; return the future of its delivery.

        Raises:
            Problem: UNAVAILABLE, nothing was sent.
        """
        if self._producer is None:
            raise Problem(Code.UNAVAILABLE, "the producer is not connected")
        topic = TOPIC_OF[type(message)]
        key, value = topic.key_of(message), message.to_json()
        try:
            delivery: DeliveryFuture = await self._producer.send(
                topic.name, value, key=key, headers=headers
            )
        except KafkaError as error:
            raise Problem(Code.UNAVAILABLE, repr(error)) from error
        return delivery

    def reset(self, reason: str) -> None:
        """Replace the producer by a new one."""
        if not self._broken.is_set():
            log.error("event=producer-broken reason=%r", reason)
        self._broken.set()


async def _stop(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(TIMEOUT.total_seconds()):
            await producer.stop()
    except TimeoutError:
        log.warning("event=producer-not-flushed")
        await producer.client.close()
