"""The producer of a worker on a real broker."""

import asyncio

from aiokafka import AIOKafkaProducer

from agents.runtime.producer import BatchingProducer, ProducerRecord
from topics.admin import create
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic, TopicKind

SECONDS = 10.0
FIRST, SECOND = (
    Topic(name, TopicKind.REQUESTS, "A topic of tests.") for name in ("one", "another")
)


async def test_a_topic_keeps_its_leaders_when_the_producer_learns_of_another(kafka: str):
    cluster = KafkaSettings(kafka=kafka, partitions=2)
    await create(cluster, [FIRST])
    async with AIOKafkaProducer(**cluster.client_options()) as connected:
        producer = BatchingProducer(lambda: connected, lambda _: None)
        await connected.client.force_metadata_update()  # no topic is added yet: all of them
        await producer.partition_count(FIRST.name)
        await create(cluster, [SECOND])
        await producer.partition_count(SECOND.name)
        await connected.client.force_metadata_update()
        async with asyncio.timeout(SECONDS):
            for topic in (FIRST, SECOND):
                await (await producer.send(ProducerRecord(topic.name, b"1", b"", [])))
