"""The records and bytes that a full story adds to each topic."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.benchmarks import stories
from tests.benchmarks.http import Client
from tests.e2e.shop import Shop
from tests.e2e.waiting import until
from topics.catalog import TOPICS
from topics.kafka.settings import KafkaSettings

STORIES_EACH = 50


@dataclass(frozen=True)
class Footprint:
    """The records of one story, or of many.

    Attributes:
        size: in the broker's log, with the overhead of batches.
    """

    topic: str
    records: float
    size: float


async def footprints(shop: Shop, clients: Sequence[Client]) -> list[Footprint]:
    """Run stories; return what one of them added to each topic."""
    number = len(clients) * STORIES_EACH
    before = await _sizes(shop)

    async def some(first: int, client: Client) -> None:
        for each in range(first, number, len(clients)):
            await stories.full_story(client, each)

    await asyncio.gather(*(some(n, client) for n, client in enumerate(clients)))
    after = await _settled(shop)
    return [
        Footprint(
            topic,
            round((after[topic].records - old.records) / number, 2),
            round((after[topic].size - old.size) / number),
        )
        for topic, old in before.items()
        if after[topic].records > old.records
    ]


async def _settled(shop: Shop) -> dict[str, Footprint]:
    """Return the log's sizes once they are stable: rows are written after replies."""
    seen: dict[str, Footprint] = {}

    async def still() -> bool:
        nonlocal seen
        last, seen = seen, await _sizes(shop)
        await asyncio.sleep(1)  # their final number is unknown
        return seen == last

    await until(still, "nothing more is written")
    return seen


async def _sizes(shop: Shop) -> dict[str, Footprint]:
    records = await _records(shop.cluster)
    return {
        topic: Footprint(topic, number, _bytes(shop.local.directory, topic))
        for topic, number in records.items()
    }


async def _records(cluster: KafkaSettings) -> dict[str, int]:
    consumer = AIOKafkaConsumer(**cluster.client_options())
    async with consumer:
        ends = {}
        for topic in TOPICS:
            numbers = range(topic.partitions or cluster.partitions)
            tps = [TopicPartition(topic.name, number) for number in numbers]
            ends[topic.name] = sum((await consumer.end_offsets(tps)).values())
        return ends


def _bytes(directory: Path, topic: str) -> int:
    logs = directory.rglob(f"{topic}-[0-9]*/*.log")
    return sum(file.stat().st_size for file in logs)
