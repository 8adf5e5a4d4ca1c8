"""The request/reply client of the gateway."""

import asyncio
import struct
from datetime import timedelta
from functools import partial
from typing import Any

from gateway.kafka.broker_probe import BrokerProbe
from gateway.kafka.correlator import Correlator
from gateway.kafka.reply_consumer import ReplyConsumer
from gateway.kafka.request_producer import DeliveryError, DeliveryFuture, RequestProducer
from schemas.contract import Contract
from topics.catalog import GATEWAY_REPLIES
from topics.kafka.headers import CORRELATION_ID, LOG_CONTEXT, REPLY_PARTITION, REPLY_TOPIC
from topics.telemetry.tracing import Headers

RECONNECT_TIME = timedelta(seconds=10)  # a producer needs less after an outage


class RequestReplyClient:
    """Sends requests and returns their replies; reconnects after outages.

    Args:
        options: the connection options of aiokafka's clients.
        index: the gateway's partition of the reply topic.
        correlator: matches replies to requests.
    """

    def __init__(self, options: dict[str, Any], index: int, correlator: Correlator) -> None:
        self._correlator = correlator
        self._probe = BrokerProbe(options)
        self._producer = RequestProducer(options)
        self._consumer = ReplyConsumer(options, index, correlator.resolve)
        self._return_address = [
            (REPLY_TOPIC, GATEWAY_REPLIES.name.encode()),
            (REPLY_PARTITION, struct.pack(">i", self._consumer.partition)),
        ]

    async def run(self) -> None:
        """Stay connected until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._probe.run())
            group.create_task(self._producer.run())
            group.create_task(self._consumer.run())

    @property
    def ready(self) -> bool:
        """Whether requests can be sent and their replies read."""
        return self._probe.healthy and self._producer.open and self._consumer.ready

    async def request(self, message: Contract, headers: Headers) -> bytes:
        """Send a request; return its reply.

        Raises:
            DeliveryError: Kafka has not stored the request, and will not.
            Overloaded: nothing was sent.
            TimeoutError: no reply in time; the request may still be processed.
        """
        if not self.ready:
            raise DeliveryError("Kafka can't be reached")
        delivery: DeliveryFuture | None = None

        async def send(correlation_id: bytes) -> None:
            nonlocal delivery
            all_headers = [(CORRELATION_ID, correlation_id), *self._return_address]
            all_headers += headers
            LOG_CONTEXT.set(all_headers)
            delivery = await self._producer.send(message, all_headers)
            delivery.add_done_callback(partial(self._check, correlation_id))

        try:
            return await self._correlator.request(send)
        except TimeoutError:
            if delivery and not delivery.done() and self._probe.healthy_for(RECONNECT_TIME):
                self._producer.reset("a record is not delivered, although Kafka is healthy")
            raise

    def _check(self, correlation_id: bytes, delivery: DeliveryFuture) -> None:
        error = delivery.exception()
        if error is not None:
            self._producer.reset(repr(error))
            self._correlator.fail(correlation_id, DeliveryError("Kafka refused the record"))
