"""The request/reply client of the gateway."""

import asyncio
import os
import struct
from datetime import timedelta
from functools import partial
from typing import Any

from gateway.kafka.broker_probe import BrokerProbe
from gateway.kafka.reply_consumer import ReplyConsumer
from gateway.kafka.request_producer import DeliveryFuture, RequestProducer
from gateway.problems import GatewayError, Problem
from gateway.settings import Settings
from schemas.contract import Code, Contract
from topics.catalog import GATEWAY_REPLIES
from topics.kafka.headers import CORRELATION_ID, LOG_CONTEXT, REPLY_PARTITION, REPLY_TOPIC
from topics.telemetry.tracing import Headers

RECONNECT_TIME = timedelta(seconds=10)  # a producer needs less after an outage


class RequestReplyClient:
    """Sends requests and returns their replies, which it matches by correlation id.

    It reconnects after outages.
    """

    def __init__(self, options: dict[str, Any], settings: Settings) -> None:
        self._limit = settings.max_in_flight
        self._timeout = settings.reply_timeout_seconds
        self._waiting: dict[bytes, asyncio.Future[bytes | Exception]] = {}
        self._probe = BrokerProbe(options)
        self._producer = RequestProducer(options)
        self._consumer = ReplyConsumer(options, settings.gateway_index, self._resolve)
        self._return_address = [
            (REPLY_TOPIC, GATEWAY_REPLIES.name.encode()),
            (REPLY_PARTITION, struct.pack(">i", self._consumer.partition)),
        ]

    async def run(self) -> None:
        """Stay connected until cancelled."""
        async with asyncio.TaskGroup() as group:
            for part in (self._probe, self._producer, self._consumer):
                group.create_task(part.run())

    @property
    def ready(self) -> bool:
        """Whether requests can be sent and their replies read."""
        return self._probe.healthy and self._producer.ready and self._consumer.ready

    async def request(self, message: Contract, headers: Headers) -> bytes:
        """Send a request; return its reply.

        Raises:
            Problem: UNAVAILABLE, Kafka has not stored the request, and will not;
                OVERLOADED, nothing was sent.
            TimeoutError: no reply in time; the request may still be processed.
        """
        if not self.ready:
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
            delivery = await self._producer.send(message, all_headers)
            delivery.add_done_callback(partial(self._check, correlation_id))
            result = await waiting
        finally:
            timer.cancel()
            del self._waiting[correlation_id]
        if isinstance(result, bytes):
            return result
        if not delivery.done() and self._probe.healthy_for(RECONNECT_TIME):
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
