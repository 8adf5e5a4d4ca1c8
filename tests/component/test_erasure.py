"""An erased row leaves its changelog with the next compaction."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.component.test_topics import override
from tests.e2e.waiting import until
from topics.admin import create
from topics.catalog import CARTS_CHANGELOG
from topics.kafka.settings import KafkaSettings
from topics.topic import FOREVER

CHANGELOG = replace(CARTS_CHANGELOG, name="erased-changelog", partitions=1)
AT_ONCE = {"min.compaction.lag.ms": "0", "max.compaction.lag.ms": "1000"}
TP = TopicPartition(CHANGELOG.name, 0)


async def test_an_erased_row_is_deleted_once_newer_rows_exist(kafka: str):
    cluster = KafkaSettings(kafka=kafka)
    await create(cluster, [CHANGELOG])
    await override(cluster, CHANGELOG.name, CHANGELOG.config(FOREVER) | AT_ONCE)
    async with opened(cluster) as (producer, consumer):

        async def write(key: bytes, value: bytes | None) -> None:
            await producer.send_and_wait(CHANGELOG.name, value, key=key)

        async def erased() -> bool:
            """Write a row of another user; return whether only the tombstone is left."""
            await write(b"43", b"{}")
            return [v for k, v in await rows(consumer) if k == b"42"] == [None]

        for value in (b'{"lines":{}}', b'{"lines":{"1":2}}', None):
            await write(b"42", value)
        assert not await erased()

        await until(erased, "only the tombstone of the user is left")


async def rows(consumer: AIOKafkaConsumer) -> list[tuple[bytes, bytes | None]]:
    """Read the changelog from its beginning to its end."""
    end = (await consumer.end_offsets([TP]))[TP]
    await consumer.seek_to_beginning(TP)
    found: list[tuple[bytes, bytes | None]] = []
    while await consumer.position(TP) < end:
        fetched = await consumer.getmany(timeout_ms=100)
        found += [(r.key, r.value) for records in fetched.values() for r in records]
    return found


@asynccontextmanager
async def opened(
    cluster: KafkaSettings,
) -> AsyncIterator[tuple[AIOKafkaProducer, AIOKafkaConsumer]]:
    """Connect to write and read the changelog."""
    producer = AIOKafkaProducer(**cluster.client_options())
    consumer = AIOKafkaConsumer(**cluster.client_options(), fetch_max_wait_ms=20)
    await producer.start()
    await consumer.start()
    consumer.assign([TP])
    yield producer, consumer
    await consumer.stop()
    await producer.stop()
