"""Receipts of one unit each, and a worker that is killed while it counts them."""

import asyncio
import json
import random
from collections.abc import Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.e2e.clients import ShopClient
from tests.e2e.processes import Unit
from tests.e2e.waiting import until
from topics.catalog import STOCK_CHANGELOG, STOCK_REQUESTS
from topics.kafka.settings import KafkaSettings

WITHIN_SECONDS = 240.0
_LONGEST_MORE_SECONDS = 0.05


async def preload(cluster: KafkaSettings, skus: Sequence[int], number: int) -> None:
    """Write a number of receipts of one unit each, over the skus in turn."""
    producer = AIOKafkaProducer(
        **cluster.client_options(), linger_ms=5, max_batch_size=256 * 2**10
    )
    receipt = {"type": "receiveStock", "warehouseID": 1, "count": 1}
    values = {sku: json.dumps({**receipt, "sku": sku}).encode() for sku in skus}
    async with producer:
        for count in range(number):
            sku = skus[count % len(skus)]
            await producer.send(STOCK_REQUESTS.name, values[sku], key=b"%d" % sku)


async def kill_while_it_counts(
    worker: Unit, cluster: KafkaSettings, number: int, kills: int, chance: random.Random
) -> None:
    """Start a worker, and kill -9 it at random moments of its work.

    Args:
        worker: gets all partitions; it does not run yet.
        cluster: has its requests and its changelog.
        number: of receipts.
        kills: their number.
        chance: chooses the moments.
    """
    async with _changelog(cluster) as changelog:
        before = await changelog.rows()
        worker.start()
        # Each receipt is a row of the changelog, whose end is the worker's progress.
        for moment in sorted(chance.sample(range(number * 9 // 10), kills)):

            async def is_there(wanted: int = before + moment) -> bool:
                return await changelog.rows() >= wanted

            await until(is_there, f"{moment} of {number} counted", WITHIN_SECONDS)
            await asyncio.sleep(chance.uniform(0, _LONGEST_MORE_SECONDS))
            await worker.crash()
            starts = worker.starts
            await until(lambda s=starts: worker.starts > s, "it is started again")


async def counted(client: ShopClient, skus: Sequence[int]) -> int:
    """Return the number of units; these queries follow all receipts in the log."""
    answers = [
        await client.ask_until_answered("stocks", f"count-{sku}", sku=sku) for sku in skus
    ]
    return sum(place["count"] for answer in answers for place in answer.reply["stocks"])


class _Changelog:
    def __init__(self, consumer: AIOKafkaConsumer, tps: list[TopicPartition]) -> None:
        self._consumer = consumer
        self._tps = tps

    async def rows(self) -> int:
        """Return the number of rows that were ever written."""
        return sum((await self._consumer.end_offsets(self._tps)).values())


@asynccontextmanager
async def _changelog(cluster: KafkaSettings):
    async with AIOKafkaConsumer(**cluster.client_options()) as consumer:
        tps = [
            TopicPartition(STOCK_CHANGELOG.name, number)
            for number in range(cluster.partitions)
        ]
        yield _Changelog(consumer, tps)
