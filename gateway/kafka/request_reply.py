"""Kafka as the gateway sees it: ask, and be answered."""

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

LONG_ENOUGH = timedelta(seconds=10)  # for a producer to find its way back to Kafka


class RequestReplyClient:
    """Sends requests and brings their replies, through outages and broken clients.

    Args:
        options: how to connect, as every aiokafka client takes them.
        index: which partition of the reply topic is ours.
        correlator: knows who waits for what.
    """

    def __init__(self, options: dict[str, Any], index: int, correlator: Correlator) -> None:
        self._correlator = correlator
        self._pulse = BrokerProbe(options)
        self._outbox = RequestProducer(options)
        self._inbox = ReplyConsumer(options, index, correlator.resolve)
        self._return_address = [
            (REPLY_TOPIC, GATEWAY_REPLIES.name.encode()),
            (REPLY_PARTITION, struct.pack(">i", self._inbox.partition)),
        ]

    async def run(self) -> None:
        """Stay connected until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pulse.run())
            group.create_task(self._outbox.run())
            group.create_task(self._inbox.run())

    @property
    def ready(self) -> bool:
        """Whether a request sent now can be carried out, and its reply seen."""
        return self._pulse.healthy and self._outbox.open and self._inbox.ready

    async def request(self, message: Contract, headers: Headers) -> bytes:
        """Send a request and return the reply to it.

        Raises:
            NotTaken: Kafka did not take the request; nothing will come of it.
            Overloaded: nothing was sent.
            TimeoutError: no reply in time; the request may still be carried out.
        """
        if not self.ready:
            raise DeliveryError("Kafka can't be reached")
        delivery: DeliveryFuture | None = None

        async def send(correlation_id: bytes) -> None:
            nonlocal delivery
            conversation = [(CORRELATION_ID, correlation_id), *self._return_address]
            conversation += headers
            LOG_CONTEXT.set(conversation)
            delivery = await self._outbox.send(message, conversation)
            delivery.add_done_callback(partial(self._check, correlation_id))

        try:
            return await self._correlator.ask(send)
        except TimeoutError:
            if delivery and not delivery.done() and self._pulse.healthy_for(LONG_ENOUGH):
                self._outbox.reset("a record lies undelivered, though Kafka is there")
            raise

    def _check(self, correlation_id: bytes, delivery: DeliveryFuture) -> None:
        error = delivery.exception()
        if error is not None:
            self._outbox.reset(repr(error))
            self._correlator.fail(correlation_id, DeliveryError("Kafka refused the record"))
