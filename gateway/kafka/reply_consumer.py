"""Replies on their way out of Kafka.

Not by aiokafka's consumer: it is made for groups and many partitions, and whatever its
fetching task does not expect ends that task without a word, so that replies would stop
for ever. One partition needs one loop, and anything wrong ends here in plain sight.
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

Settle = Callable[[bytes, bytes], None]

TIMEOUT = timedelta(seconds=5)
# How long the broker may hold back an empty answer; a reply ends the wait at once.
FETCH_MAX_WAIT = timedelta(milliseconds=500)
# No record of a topic is larger than this, unless an operator has raised both.
FETCH_BYTES = 2**21
RETRY = timedelta(milliseconds=200)

_EARLIEST, _LATEST = -2, -1
_NO_REPLICA = -1
_READ_UNCOMMITTED = 0

log = logging.getLogger(__name__)


class ReplyConsumer:
    """Reads one partition of the reply topic, from where its end was at the start.

    Args:
        options: how to connect, as every aiokafka client takes them.
        index: which partition, modulo their number.
        settle: takes a correlation id and the reply to it.

    Attributes:
        partition: where replies to this gateway go.
        positioned: whether a reply to whatever is sent from now on will be seen.
    """

    def __init__(self, options: dict[str, Any], index: int, settle: Settle) -> None:
        self._options = options | {
            "client_id": "gateway-replies",
            "request_timeout_ms": _milliseconds(TIMEOUT),
        }
        self._settle = settle
        self._traced = tracing.is_on()
        self._next: int | None = None
        self.partition = index % GATEWAY_REPLY_PARTITIONS
        self.ready = False

    async def run(self) -> None:
        """Keep reading until cancelled; after an error, anew from where it was."""
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
        mine = TopicPartition(GATEWAY_REPLIES.name, self.partition)
        leader: int | None = client.cluster.leader_for_partition(mine)
        if leader is None or leader < 0:
            raise KafkaError(f"{mine} has no leader")
        return leader

    async def _read(self, client: AIOKafkaClient, leader: int) -> None:
        if self._next is None:
            self._next = await self._offset(client, leader, _LATEST)
        self.ready = True
        while True:
            try:
                self._take(await self._fetch(client, leader, self._next))
            except OffsetOutOfRangeError:
                # The broker lost records; those that are too old find nobody waiting.
                self._next = await self._offset(client, leader, _EARLIEST)

    async def _offset(self, client: AIOKafkaClient, leader: int, which: int) -> int:
        wanted = [(GATEWAY_REPLIES.name, [(self.partition, which)])]
        request = OffsetRequest(_NO_REPLICA, _READ_UNCOMMITTED, wanted)
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

    def _take(self, fetched: bytes) -> None:
        batches = MemoryRecords(fetched)
        while (batch := batches.next_batch()) is not None:
            # Before it is read: one that can't be must not be met again and again.
            self._next = batch.next_offset
            if not batch.is_control_batch:
                for record in batch:
                    self._settle_one(record)

    def _settle_one(self, record: DefaultRecord) -> None:
        if self._traced:
            with tracing.span(
                f"receive {GATEWAY_REPLIES.name}", "CONSUMER", record.headers
            ):
                pass  # a moment: that the reply was here
        for name, value in record.headers:
            if name == CORRELATION_ID and value is not None:
                self._settle(value, record.value or b"")


def _only_partition(response: Struct) -> list[Any]:
    """Return what a response says of the one partition that it was asked about.

    Raises:
        KafkaError: whatever it says instead.
    """
    code: int
    rest: list[Any]
    [(_, [(_, code, *rest)])] = response.topics
    if code:
        raise for_code(code)
    return rest


def _milliseconds(time: timedelta) -> int:
    return time // timedelta(milliseconds=1)
