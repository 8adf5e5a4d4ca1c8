"""Reads replies from one partition of the reply topic.

aiokafka's consumer is not used: an unexpected error ends its fetching task silently, and
no reply would arrive any more. One partition needs one loop, whose errors are logged.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, OffsetOutOfRangeError, for_code
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from topics.catalog import GATEWAY_REPLIES, GATEWAY_REPLY_PARTITIONS
from topics.kafka import wire
from topics.kafka.connection import find_auth_error
from topics.kafka.headers import CORRELATION_ID
from topics.telemetry import tracing

TOPIC = GATEWAY_REPLIES.name
# The broker holds an empty response for so long; a record ends the wait at once.
FETCH_MAX_WAIT = timedelta(milliseconds=500)
# Without a response for so long, Kafka counts as unavailable.
TIMEOUT = FETCH_MAX_WAIT + timedelta(milliseconds=1500)
# No record is larger, unless an operator raises the limit of the topic.
FETCH_BYTES = 2**21
RETRY = timedelta(milliseconds=200)

_EARLIEST, _LATEST = -2, -1
_NO_REPLICA = -1
_READ_UNCOMMITTED = 0


log = logging.getLogger(__name__)


class ReplyConsumer:
    """Reads one partition of the reply topic, from its end at the start.

    It always waits for a response of the partition's leader. So it notices within
    `TIMEOUT` that Kafka is unavailable, before a request is sent.

    Args:
        options: the connection options of aiokafka's clients.
        index: the partition, modulo their number.
        resolve: gets a correlation id and its reply.

    Attributes:
        ready: whether replies to requests sent from now on will be read.
    """

    def __init__(
        self, options: dict[str, Any], index: int, resolve: Callable[[bytes, bytes], None]
    ) -> None:
        self._options = options | {
            "client_id": "gateway-replies",
            "request_timeout_ms": TIMEOUT // timedelta(milliseconds=1),
        }
        self._resolve = resolve
        self._traced = tracing.is_on()
        self._next: int | None = None
        self._ready_since = 0.0
        self.partition = index % GATEWAY_REPLY_PARTITIONS
        self.ready = False

    def ready_for(self, time: timedelta) -> bool:
        """Return whether the consumer has been ready for a time."""
        return self.ready and monotonic() - self._ready_since > time.total_seconds()

    async def run(self) -> None:
        """Read until cancelled; reconnect after errors, at the same offset.

        Raises:
            KafkaAuthenticationError: before the first success only. Later the consumer
                reconnects, since an operator may be rotating passwords.
        """
        while True:
            client = AIOKafkaClient(**self._options)
            try:
                await client.bootstrap()
                await self._read(client)
            except (KafkaError, TimeoutError, ValueError) as error:
                log.warning("event=replies-interrupted error=%r", error)
            finally:
                self.ready = False
                await client.close()
            if self._next is None and (refused := await find_auth_error(self._options)):
                raise refused
            await asyncio.sleep(RETRY.total_seconds())

    async def _read(self, client: AIOKafkaClient) -> None:
        await client.set_topics([TOPIC])
        end = await self._offset(client, _LATEST)  # also shows that the leader responds
        if self._next is None:
            self._next = end
        self.ready, self._ready_since = True, monotonic()
        while True:
            try:
                self._process(await self._fetch(client, self._next))
            except OffsetOutOfRangeError:
                # The broker lost records. No caller waits for those that are too old.
                self._next = await self._offset(client, _EARLIEST)

    async def _offset(self, client: AIOKafkaClient, time: int) -> int:
        partitions = [(TOPIC, [(self.partition, time)])]
        request = OffsetRequest(_NO_REPLICA, _READ_UNCOMMITTED, partitions)
        return int(await self._send(client, request))

    async def _fetch(self, client: AIOKafkaClient, offset: int) -> bytes:
        wait_ms = FETCH_MAX_WAIT // timedelta(milliseconds=1)
        request = wire.FetchRequest(
            (wait_ms, 1, FETCH_BYTES, _READ_UNCOMMITTED),
            wire.NO_SESSION,
            {TOPIC: [(self.partition, offset, FETCH_BYTES)]},
            {},
        )
        return bytes(await self._send(client, request))

    async def _send(self, client: AIOKafkaClient, request: Any) -> Any:  # noqa: ANN401 -- aiokafka's
        """Return the last field of the partition in the leader's response."""
        partition = TopicPartition(TOPIC, self.partition)
        leader: int | None = client.cluster.leader_for_partition(partition)
        if leader is None or leader < 0:
            raise KafkaError(f"{partition} has no leader")
        response = await client.send(leader, request)
        [(_, [(_, code, *_, last)])] = response.topics
        if code:
            raise for_code(code)
        return last

    def _process(self, fetched: bytes) -> None:
        batches = MemoryRecords(fetched)
        while (batch := batches.next_batch()) is not None:
            # Before the batch is read: an unreadable one must not be fetched again.
            self._next = batch.next_offset
            if not batch.is_control_batch:
                for record in batch:
                    self._process_record(record.headers, record.value or b"")

    def _process_record(self, headers: tracing.Headers, reply: bytes) -> None:
        if self._traced:  # the span marks the arrival of the reply
            with tracing.span(f"receive {TOPIC}", "CONSUMER", headers):
                pass
        for name, value in headers:
            if name == CORRELATION_ID and value is not None:
                self._resolve(value, reply)
