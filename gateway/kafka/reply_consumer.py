"""Reads replies from one partition of the reply topic.

aiokafka's consumer is not used: an unexpected error ends its fetching task silently, and
no reply would arrive any more. One partition needs one loop, whose errors are logged.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, OffsetOutOfRangeError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.struct import Struct
from aiokafka.record.default_records import DefaultRecord
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from topics.catalog import GATEWAY_REPLIES, GATEWAY_REPLY_PARTITIONS
from topics.kafka.headers import CORRELATION_ID
from topics.telemetry import tracing

Resolve = Callable[[bytes, bytes], None]

TIMEOUT = timedelta(seconds=5)
# The broker holds an empty response for so long; a record ends the wait at once.
FETCH_MAX_WAIT = timedelta(milliseconds=500)
# No record is larger, unless an operator raises the limit of the topic.
FETCH_BYTES = 2**21
RETRY = timedelta(milliseconds=200)

_EARLIEST, _LATEST = -2, -1
_NO_REPLICA = -1
_READ_UNCOMMITTED = 0

log = logging.getLogger(__name__)


class ReplyConsumer:
    """Reads one partition of the reply topic, from its end at the start.

    Args:
        options: the connection options of aiokafka's clients.
        index: the partition, modulo their number.
        resolve: gets a correlation id and its reply.

    Attributes:
        partition: the partition of this gateway.
        ready: whether replies to requests sent from now on will be read.
    """

    def __init__(self, options: dict[str, Any], index: int, resolve: Resolve) -> None:
        self._options = options | {
            "client_id": "gateway-replies",
            "request_timeout_ms": _milliseconds(TIMEOUT),
        }
        self._resolve = resolve
        self._traced = tracing.is_on()
        self._next: int | None = None
        self.partition = index % GATEWAY_REPLY_PARTITIONS
        self.ready = False

    async def run(self) -> None:
        """Read until cancelled; reconnect after errors, at the same offset."""
        while True:
            client = AIOKafkaClient(**self._options)
            try:
                await client.bootstrap()
                await self._read(client, await self._leader(client))
            except (KafkaError, TimeoutError, ValueError) as error:
                log.warning("event=replies-interrupted error=%r", error)
            finally:
                self.ready = False
                await client.close()
            await asyncio.sleep(RETRY.total_seconds())

    async def _leader(self, client: AIOKafkaClient) -> int:
        await client.set_topics([GATEWAY_REPLIES.name])
        partition = TopicPartition(GATEWAY_REPLIES.name, self.partition)
        leader: int | None = client.cluster.leader_for_partition(partition)
        if leader is None or leader < 0:
            raise KafkaError(f"{partition} has no leader")
        return leader

    async def _read(self, client: AIOKafkaClient, leader: int) -> None:
        if self._next is None:
            self._next = await self._offset(client, leader, _LATEST)
        self.ready = True
        while True:
            try:
                self._process(await self._fetch(client, leader, self._next))
            except OffsetOutOfRangeError:
                # The broker lost records. No caller waits for those that are too old.
                self._next = await self._offset(client, leader, _EARLIEST)

    async def _offset(self, client: AIOKafkaClient, leader: int, time: int) -> int:
        topics = [(GATEWAY_REPLIES.name, [(self.partition, time)])]
        request = OffsetRequest(_NO_REPLICA, _READ_UNCOMMITTED, topics)
        *_, offset = _only_partition(await client.send(leader, request))
        return int(offset)

    async def _fetch(self, client: AIOKafkaClient, leader: int, offset: int) -> bytes:
        request = FetchRequest(
            _milliseconds(FETCH_MAX_WAIT),
            1,
            FETCH_BYTES,
            _READ_UNCOMMITTED,
            [(GATEWAY_REPLIES.name, [(self.partition, offset, FETCH_BYTES)])],
        )
        *_, records = _only_partition(await client.send(leader, request))
        return bytes(records)

    def _process(self, fetched: bytes) -> None:
        batches = MemoryRecords(fetched)
        while (batch := batches.next_batch()) is not None:
            # Before the batch is read: an unreadable one must not be fetched again.
            self._next = batch.next_offset
            if not batch.is_control_batch:
                for record in batch:
                    self._resolve_record(record)

    def _resolve_record(self, record: DefaultRecord) -> None:
        if self._traced:
            with tracing.span(
                f"receive {GATEWAY_REPLIES.name}", "CONSUMER", record.headers
            ):
                pass  # the span marks the arrival of the reply
        for name, value in record.headers:
            if name == CORRELATION_ID and value is not None:
                self._resolve(value, record.value or b"")


def _only_partition(response: Struct) -> list[Any]:
    """Return the fields of the one partition in a response.

    Raises:
        KafkaError: the response has an error code.
    """
    code: int
    rest: list[Any]
    [(_, [(_, code, *rest)])] = response.topics
    if code:
        raise for_code(code)
    return rest


def _milliseconds(time: timedelta) -> int:
    return time // timedelta(milliseconds=1)
