"""Requests on their way into Kafka."""

import asyncio
import logging
from datetime import timedelta
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from gateway.routes import ROUTES
from schemas.contract import Contract
from topics.catalog import TOPIC_OF

Headers = list[tuple[str, bytes]]
DeliveryFuture = asyncio.Future[RecordMetadata]

TIMEOUT = timedelta(seconds=5)
METADATA_MAX_AGE = timedelta(seconds=30)
BATCH_BYTES = 2**17
RETRY = timedelta(milliseconds=500)

log = logging.getLogger(__name__)


class DeliveryError(Exception):
    """The broker did not take the request, and never will."""


class RequestProducer:
    """An idempotent producer, replaced by a new one when it breaks.

    A batch that the broker refuses leaves a hole in the producer's sequence numbers:
    from then on that partition refuses everything from it. So one refusal is the end of
    a producer. What the broker merely can't take now is retried, also for hours.

    Attributes:
        open: whether requests can be sent.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options | {
            "client_id": "gateway-requests",
            "acks": "all",
            "enable_idempotence": True,
            "linger_ms": 0,
            "max_batch_size": BATCH_BYTES,
            "request_timeout_ms": _milliseconds(TIMEOUT),
            "metadata_max_age_ms": _milliseconds(METADATA_MAX_AGE),
        }
        self._producer: AIOKafkaProducer | None = None
        self._broken = asyncio.Event()

    @property
    def open(self) -> bool:
        """Whether requests can be sent."""
        return self._producer is not None

    async def run(self) -> None:
        """Keep a producer until cancelled."""
        while True:
            producer = AIOKafkaProducer(**self._options)
            try:
                await self._serve(producer)
            except KafkaError as error:
                log.warning("event=no-producer error=%r", error)
            finally:
                self._producer = None
                await _stop(producer)
            await asyncio.sleep(RETRY.total_seconds())

    async def _serve(self, producer: AIOKafkaProducer) -> None:
        await producer.start()
        for name in {TOPIC_OF[route.request].name for route in ROUTES}:
            # Otherwise the first request for each topic would wait for its metadata.
            await producer.partitions_for(name)
        self._broken.clear()
        self._producer = producer
        await self._broken.wait()

    async def send(self, message: Contract, headers: Headers) -> DeliveryFuture:
        """Hand over a record, and return what becomes of it.

        Raises:
            NotTaken: nothing was sent.
        """
        if self._producer is None:
            raise DeliveryError("there is no producer at the moment")
        topic = TOPIC_OF[type(message)]
        try:
            delivery: DeliveryFuture = await self._producer.send(
                topic.name,
                message.to_json(),
                key=topic.key_of(message),
                headers=headers,
            )
        except KafkaError as error:
            raise DeliveryError(repr(error)) from error
        return delivery

    def reset(self, why: str) -> None:
        """Have a new producer made."""
        if not self._broken.is_set():
            log.error("event=producer-broken why=%r", why)
        self._broken.set()


async def _stop(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(TIMEOUT.total_seconds()):
            await producer.stop()
    except TimeoutError:
        log.warning("event=producer-not-flushed")
        await producer.client.close()


def _milliseconds(time: timedelta) -> int:
    return time // timedelta(milliseconds=1)
