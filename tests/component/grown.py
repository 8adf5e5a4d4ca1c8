"""A shop's topics with a past, without workers; and what they must be after a move."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata, RecordMetadata

from agents.notifications.pending import encode, pending_key
from agents.runtime.changelog import PROCESSED_OFFSET_HEADER
from schemas.contract import Item
from schemas.order import OrderStatusChanged, Status
from schemas.stock import ReceiveStock
from topics.admin import create
from topics.catalog import (
    DEAD_LETTERS,
    ORDER_EVENTS,
    SENT_CHANGELOG,
    STOCK_CHANGELOG,
    STOCK_REQUESTS,
)
from topics.kafka.location import partition_of
from topics.kafka.reader import TopicReader
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic

SKUS = range(1, 13)
ORDERS = range(100, 112)
READER = "reporting"
"""A consumer group that is not the shop's."""

_AT = datetime(2026, 1, 1, tzinfo=UTC)
_RECENTLY = int(time.time() - 3600) * 1000


@dataclass
class Grown:
    """A cluster with records.

    Attributes:
        partitions: of the topics.
        waiting: values of requests that nobody has processed.
        unread: ids of the events that `READER` has not read.
    """

    cluster: KafkaSettings
    waiting: set[bytes] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)

    @property
    def partitions(self) -> int:
        return self.cluster.partitions

    async def fill(self) -> None:
        """Create all topics; write requests, events, rows; commit offsets."""
        await create(self.cluster)
        async with AIOKafkaProducer(**self.cluster.client_options()) as producer:
            await self._requests(producer)
            await self._events(producer)
            await producer.send_and_wait("stock.dlq", b"dead", b"7")
            await producer.send_and_wait("stock.replies", b"{}", b"7")

    async def _requests(self, producer: AIOKafkaProducer) -> None:
        for sku in SKUS:
            await self._receive(producer, sku, 1)
        await producer.send_and_wait(STOCK_REQUESTS.name, b"no JSON", b"x", 0)
        stray = ReceiveStock(sku=SKUS[0], warehouse_id=1, count=2).to_json()
        owner = partition_of(b"%d" % SKUS[0], self.partitions)
        await producer.send_and_wait(
            STOCK_REQUESTS.name, stray, partition=(owner + 1) % self.partitions
        )
        committed = await self.ends(STOCK_REQUESTS)
        for sku in SKUS:  # these are only in the rows
            await self._receive(producer, sku, 3)
        included = await self.ends(STOCK_REQUESTS)
        for sku in SKUS:
            self.waiting.add((await self._receive(producer, sku, 4)).to_json())
        await producer.send_and_wait(STOCK_REQUESTS.name, b"invalid", b"x", 0)
        await self.commit("loms", committed)
        for sku in SKUS:
            key = b"%d" % sku
            number = partition_of(key, self.partitions)
            version = included[TopicPartition(STOCK_REQUESTS.name, number)]
            rows = {key: b"{}", b"%d/99" % sku: b'{"n":1}'}
            table = TopicPartition(STOCK_CHANGELOG.name, number)
            await self._rows(producer, table, rows, version)

    async def _receive(
        self, producer: AIOKafkaProducer, sku: int, count: int
    ) -> ReceiveStock:
        request = ReceiveStock(sku=sku, warehouse_id=1, count=count)
        key = STOCK_REQUESTS.key_of(request)
        number = partition_of(key, self.partitions)
        await producer.send_and_wait(STOCK_REQUESTS.name, request.to_json(), key, number)
        return request

    async def _events(self, producer: AIOKafkaProducer) -> None:
        for status in (Status.NEW, Status.AWAITING_PAYMENT):
            for order in ORDERS:
                event = OrderStatusChanged(
                    order_id=order,
                    user=order,
                    status=status,
                    items=(Item(sku=1, count=1),),
                    at=_AT,
                )
                key = ORDER_EVENTS.key_of(event)
                sent = await producer.send_and_wait(
                    ORDER_EVENTS.name, event.to_json(), key, timestamp_ms=_RECENTLY
                )
                await self._pending(producer, event, sent)
                if status is Status.AWAITING_PAYMENT:
                    self.unread.add(event.event_id)
            if status is Status.NEW:
                await self.commit(READER, await self.ends(ORDER_EVENTS))
        await self.commit("notifications", await self.ends(ORDER_EVENTS))

    async def _pending(
        self, producer: AIOKafkaProducer, event: OrderStatusChanged, sent: RecordMetadata
    ) -> None:
        tp, offset = sent.topic_partition, sent.offset
        record = replace(
            _RECORD,
            value=event.to_json(),
            partition=tp.partition,
            offset=offset,
            timestamp=1,
        )
        rows = {
            event.event_id.encode(): b'{"outcome":"pending"}',
            pending_key("mail", offset, event.order_id): encode(record, event),
        }
        table = TopicPartition(SENT_CHANGELOG.name, tp.partition)
        await self._rows(producer, table, rows, offset + 1)

    async def _rows(
        self,
        producer: AIOKafkaProducer,
        tp: TopicPartition,
        rows: dict[bytes, bytes],
        version: int,
    ) -> None:
        headers = [(PROCESSED_OFFSET_HEADER, b"%d" % version)]
        for key, value in rows.items():
            await producer.send_and_wait(
                tp.topic, value, key, tp.partition, headers=headers
            )

    async def commit(self, group: str, offsets: dict[TopicPartition, int]) -> None:
        """Commit offsets for a group."""
        async with AIOKafkaConsumer(
            **self.cluster.client_options(), group_id=group, enable_auto_commit=False
        ) as consumer:
            consumer.assign([*offsets])
            await consumer.commit(
                {tp: OffsetAndMetadata(offset, "") for tp, offset in offsets.items()}
            )

    async def committed(self, group: str, topic: Topic) -> dict[int, int]:
        """Return the offsets that a group has committed, by partition."""
        async with TopicReader(self.cluster) as reader:
            found = await reader.committed({topic: group})
        return {tp.partition: offset for tp, offset in found.items()}

    async def ends(self, topic: Topic) -> dict[TopicPartition, int]:
        """Return the ends of a topic's partitions."""
        async with TopicReader(self.cluster) as reader:
            ranges = await reader.offset_ranges(await reader.partitions([topic]))
        return {tp: part.end for tp, part in ranges.items()}

    async def records(self, topic: Topic) -> dict[int, list[ConsumerRecord]]:
        """Return the records of each partition."""
        found: defaultdict[int, list[ConsumerRecord]] = defaultdict(list)
        async with TopicReader(self.cluster) as reader:
            ranges = await reader.offset_ranges(await reader.partitions([topic]))
            found.update({tp.partition: [] for tp in ranges})
            async for tp, records in reader.read(ranges):
                found[tp.partition] += records
        return found

    async def everything(self, topics: Sequence[Topic]) -> dict[str, Any]:
        """Return all records of topics, with their locations."""
        return {
            topic.name: {
                (number, r.offset): (r.key, r.value, r.timestamp, [*r.headers])
                for number, records in (await self.records(topic)).items()
                for r in records
            }
            for topic in topics
        }


_RECORD = ConsumerRecord(ORDER_EVENTS.name, 0, 0, 0, 0, None, b"", None, -1, -1, ())
STOCK_DLQ = DEAD_LETTERS[STOCK_REQUESTS]
