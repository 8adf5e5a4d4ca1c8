"""The request/reply client of the gateway, and its producer of requests."""

import asyncio
import logging
import os
import struct
from datetime import timedelta
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from gateway.problems import GatewayError, Problem
from gateway.reply_consumer import ReplyConsumer
from gateway.routes import ROUTES
from gateway.settings import Settings
from schemas.contract import Code, Contract
from topics.catalog import GATEWAY_REPLIES, TOPIC_OF
from topics.kafka.headers import CORRELATION_ID, LOG_CONTEXT, REPLY_PARTITION, REPLY_TOPIC
from topics.telemetry.tracing import Headers

TIMEOUT = timedelta(seconds=5)
METADATA_MAX_AGE = timedelta(seconds=30)
BATCH_BYTES = 2**17
RETRY = timedelta(milliseconds=500)
RECONNECT_TIME = timedelta(seconds=10)  # a producer needs less after an outage

DeliveryFuture = asyncio.Future[RecordMetadata]

log = logging.getLogger(__name__)


class RequestReplyClient:
    """Sends requests and returns their replies, which it matches by correlation id.

    It reconnects after outages.
    """

    def __init__(self, options: dict[str, Any], settings: Settings) -> None:
        self._limit = settings.max_in_flight
        self._timeout = settings.reply_timeout_seconds
        self._waiting: dict[bytes, asyncio.Future[bytes | Exception]] = {}
        self._producer = _RequestProducer(options)
        self._consumer = ReplyConsumer(options, settings.gateway_index, self._resolve)
        self._return_address = [
            (REPLY_TOPIC, GATEWAY_REPLIES.name.encode()),
            (REPLY_PARTITION, struct.pack(">i", self._consumer.partition)),
        ]

    async def run(self) -> None:
        """Stay connected until cancelled.

        Raises:
            KafkaAuthenticationError: Kafka refuses the first connection.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._producer.run())
            group.create_task(self._consumer.run())

    @property
    def ready(self) -> bool:
        """Whether requests can be sent and their replies read."""
        return self._producer.current is not None and self._consumer.ready

    async def request(self, message: Contract, headers: Headers) -> bytes:
        """Send a request; return its reply.

        Raises:
            Problem: UNAVAILABLE, Kafka has not stored the request, and will not;
                OVERLOADED, nothing was sent.
            TimeoutError: no reply in time; the request may still be processed.
        """
        producer = self._producer.current
        if producer is None or not self._consumer.ready:
            raise Problem(Code.UNAVAILABLE, "Kafka can't be reached")
        if len(self._waiting) >= self._limit:
            detail = "too many calls are waiting for replies"
            raise Problem(GatewayError.OVERLOADED, detail)
        correlation_id = os.urandom(16).hex().encode()
        all_headers = [(CORRELATION_ID, correlation_id), *self._return_address, *headers]
        LOG_CONTEXT.set(all_headers)
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bytes | Exception] = loop.create_future()
        self._waiting[correlation_id] = waiting
        timeout = TimeoutError(correlation_id.decode())
        # Every call needs a timer; this one costs half of asyncio.timeout.
        timer = loop.call_later(self._timeout, self._resolve, correlation_id, timeout)
        try:
            delivery = await _send(producer, message, all_headers)
            delivery.add_done_callback(partial(self._check, correlation_id))
            result = await waiting
        finally:
            timer.cancel()
            del self._waiting[correlation_id]
        if isinstance(result, bytes):
            return result
        if not delivery.done() and self._consumer.ready_for(RECONNECT_TIME):
            self._producer.reset("a record is not delivered, although Kafka is healthy")
        raise result

    def _resolve(self, correlation_id: bytes, result: bytes | Exception) -> None:
        """Pass a reply or an error to its caller; drop a late or repeated one."""
        waiting = self._waiting.get(correlation_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(result)

    def _check(self, correlation_id: bytes, delivery: DeliveryFuture) -> None:
        error = delivery.exception()
        if error is not None:
            self._producer.reset(repr(error))
            detail = "Kafka refused the record"
            self._resolve(correlation_id, Problem(Code.UNAVAILABLE, detail))


class _RequestProducer:
    """An idempotent producer, replaced by a new one when it breaks.

    A batch that the broker refuses leaves a gap in the producer's sequence numbers. The
    partition then refuses all later batches. So a refusal ends the producer. Retriable
    errors do not: they are retried without a limit of time.

    Attributes:
        current: the connected producer; None while there is none.
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
        self.current: AIOKafkaProducer | None = None
        self._broken = asyncio.Event()

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
                self.current = producer
                await self._broken.wait()
            except KafkaError as error:
                log.warning("event=producer-failed error=%r", error)
            finally:
                self.current = None
                await _stop(producer)
            await asyncio.sleep(RETRY.total_seconds())

    def reset(self, reason: str) -> None:
        """Replace the producer by a new one."""
        if not self._broken.is_set():
            log.error("event=producer-broken reason=%r", reason)
        self._broken.set()


async def _send(
    producer: AIOKafkaProducer, message: Contract, headers: Headers
) -> DeliveryFuture:
    """Enqueue a record; return the future of its delivery."""
    topic = TOPIC_OF[type(message)]
    key, value = topic.key_of(message), message.to_json()
    try:
        delivery: DeliveryFuture = await producer.send(
            topic.name, value, key=key, headers=headers
        )
    except KafkaError as error:
        raise Problem(Code.UNAVAILABLE, repr(error)) from error
    return delivery


async def _stop(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(TIMEOUT.total_seconds()):
            await producer.stop()
    except TimeoutError:
        log.warning("event=producer-not-flushed")
        await producer.client.close()
