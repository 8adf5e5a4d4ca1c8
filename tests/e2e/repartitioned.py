"""A shop of its own whose topics are repartitioned, and its history."""

import asyncio
import json
import os
import random
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer, ConsumerRecord
from pydantic import ValidationError

from agents.ops.local.deployment import REPOSITORY
from agents.ops.repartition.plan import parse
from tests.e2e.clients import HttpClient
from tests.e2e.ids import IdFactory
from tests.e2e.records import Record
from tests.e2e.shop import Shop
from tests.e2e.traffic import Shopper, ShopperPool, stocked
from tests.e2e.waiting import until
from topics.admin import TopicsError
from topics.catalog import TOPICS
from topics.kafka.location import partition_of
from topics.kafka.reader import TopicReader
from topics.kafka.settings import KafkaSettings
from topics.kafka.topic_admin import TopicAdmin
from topics.layout import read_layout
from topics.topic import Topic
from topics.topology import GROUPS

WORKERS = ("checkout-1", "loms-1", "products-1", "notifications-1")
TOOL = (sys.executable, "-m", "agents.ops.repartition")


class RepartitionedShop(Shop):
    """A small shop; its number of partitions changes."""

    later = ()

    def __init__(self, directory: Path, partitions: int, brokers: int = 0) -> None:
        super().__init__(
            directory,
            brokers,
            partitions=partitions,
            gateways=1,
            loms_workers=1,
            session_timeout_seconds="6",
        )

    async def stop_workers(self) -> None:
        """Stop all workers; Kafka and the gateway stay."""
        await asyncio.gather(*(self[name].stop() for name in WORKERS))

    async def start_workers(self, partitions: int) -> None:
        """Start all workers with a number of partitions."""
        self.cluster = KafkaSettings(kafka=self.kafka, partitions=partitions)
        for name in WORKERS:
            self[name].start(PARTITIONS=str(partitions))
        await self.ready()

    async def repartition(self, *arguments: str) -> tuple[int, str]:
        """Run the tool; return its exit code and its output."""
        tool = await start_tool(self, *arguments)
        out, _ = await tool.communicate()
        return tool.returncode, out.decode()

    async def kill_workers(self) -> None:
        """Kill all workers at the same time (kill -9)."""
        await asyncio.gather(*(self[name].crash(permanently=True) for name in WORKERS))

    async def send(self, *records: Record) -> None:
        """Send records in order."""
        async with AIOKafkaProducer(**self.cluster.client_options()) as producer:
            for each in records:
                await producer.send_and_wait(
                    each.topic,
                    each.value,
                    each.key,
                    each.partition,
                    headers=[*each.headers],
                )

    async def done(self) -> None:
        """Wait until the workers have processed all requests, forwarded ones included."""

        async def are_done() -> bool:
            async with TopicReader(self.cluster) as reader:
                ranges = await reader.offset_ranges(await reader.partitions(GROUPS))
                committed = await reader.committed(GROUPS)
            return all(committed.get(tp, 0) == part.end for tp, part in ranges.items())

        await until(are_done, "all requests are processed")

    async def topics_are_replaced(self) -> bool:
        """Return whether an unfinished repartition replaces topics already."""
        plan = (await read_layout(self.cluster)).plan
        return plan is not None and parse(plan).is_swapping

    async def settings(self) -> dict[str, tuple[int, dict[str, str]]]:
        """Return the copies and the own settings of each topic."""
        async with TopicAdmin(self.cluster) as admin:
            existing = await admin.existing(topic.name for topic in TOPICS)
        return {
            name: (each.replication, each.own_config) for name, each in existing.items()
        }

    async def records(self, topic: Topic) -> list[ConsumerRecord]:
        """Return all records of a topic, by partition and offset."""
        async with TopicReader(self.cluster) as reader:
            ranges = await reader.offset_ranges(await reader.partitions([topic]))
            found = [each async for _, records in reader.read(ranges) for each in records]
        return sorted(found, key=lambda each: (each.partition, each.offset))


async def start_tool(shop: Shop, *arguments: str) -> asyncio.subprocess.Process:
    """Start the tool."""
    return await asyncio.create_subprocess_exec(
        *TOOL,
        *arguments,
        "--yes",
        cwd=REPOSITORY,
        env={**os.environ, "KAFKA": shop.kafka},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def repartition_with_kills(
    shop: Shop, partitions: int, chance: random.Random, kafka_crashes: float = 0.0
) -> int:
    """Repartition; kill the tool, and sometimes the broker, after some steps of the plan.

    Returns:
        The number of kills.
    """
    kills = 0
    while True:
        tool = await start_tool(shop, str(partitions))
        watched = asyncio.create_task(_plan_changes(shop, chance.randint(1, 9)))
        ended = asyncio.create_task(tool.communicate())
        await asyncio.wait({watched, ended}, return_when=asyncio.FIRST_COMPLETED)
        if chance.random() < kafka_crashes and not ended.done():
            await chance.choice(shop.brokers).crash()
            await shop.broker_answers()
        if not ended.done():
            tool.kill()
        await ended
        watched.cancel()
        if tool.returncode == 0:
            return kills
        kills += 1


async def _plan_changes(shop: Shop, number: int) -> None:
    """Return when the plan of a repartition has changed so often."""
    seen = None
    while number:
        with suppress(TopicsError):
            plan = (await read_layout(shop.cluster)).plan
            number -= plan != seen
            seen = plan


async def traffic(
    shop: RepartitionedShop, ids: IdFactory, shoppers: int = 8, steps: int = 12
) -> list[Shopper]:
    """Have shoppers make calls over HTTP; return them with the expected results."""
    client = HttpClient(shop.gateways[0])
    assortment = await stocked(client, ids, 4)
    pool = ShopperPool(
        [
            Shopper(ids.user(), [client], assortment, random.Random(n))
            for n in range(shoppers)
        ]
    )
    await pool.complete(steps)
    await pool.finish()
    return pool.shoppers


def receipt(sku: int, count: int, **where: Any) -> Record:
    """Return an unkeyed request: its location is its identity."""
    body = {"type": "receiveStock", "sku": sku, "warehouseID": 1, "count": count}
    return Record("stock.requests", json.dumps(body).encode(), **where)


def by_owner(
    topic: Topic, records: Iterable[ConsumerRecord], partitions: int, late: int
) -> dict[bytes, list[tuple[int, bytes]]]:
    """Return times and values of the valid records of each owner, in their order.

    Misrouted ones are left out, if they were processed; those that come `late`, with this
    time or a later one, are not.
    """
    found: dict[bytes, list[tuple[int, bytes]]] = {}
    for record in records:
        with suppress(ValidationError):
            owner = topic.key_of(topic.decode(record.value))
            is_owner = partition_of(owner, partitions) == record.partition
            if is_owner or record.timestamp >= late:
                found.setdefault(owner, []).append((record.timestamp, record.value))
    return {
        owner: [each for each in of_owner if each[0] < late]
        + sorted(each for each in of_owner if each[0] >= late)
        for owner, of_owner in found.items()
    }


def totals(audited: dict[str, Any]) -> Counter:
    """Return the units of all accounts."""
    names = ("received", "available", "reserved", "written_off", "skus")
    return Counter({name: audited[name] for name in names})
