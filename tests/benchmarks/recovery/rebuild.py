"""A worker with a large table: reading its rows, and the time from kill -9 to answers."""

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from agents.loms.order import Order, StatusChange
from agents.loms.service import ORDER_AGGREGATE
from agents.runtime.changelog import PROCESSED_OFFSET_HEADER
from schemas.contract import SHARDS
from schemas.order import Status
from tests.benchmarks.recovery.counter import one_gateway
from tests.benchmarks.recovery.outage import Outage, outage
from tests.e2e.shop import Shop
from topics.catalog import ORDERS_CHANGELOG
from topics.kafka.location import partition_of
from topics.kafka.settings import KafkaSettings

_RECOVERED = re.compile(r"recovered rows=(\d+) seconds=([\d.]+)")


@dataclass(frozen=True)
class Rebuild:
    """The recovery of a large table.

    Attributes:
        rows: read at the first start, without local files.
        rows_per_second: of that recovery.
        floor: the rate of a bare consumer of the changelog.
        outage: from kill -9 to the first answer, with local files.
        read_again: rows read after the kill.
    """

    rows: int
    rows_per_second: float
    floor: float
    outage: Outage
    read_again: int


async def rebuild(directory: Path, rows: int) -> Rebuild:
    """Fill the changelog of orders, start the worker, kill it, and wait for its answer."""
    async with one_gateway(directory) as (shop, client):
        await fill(shop.cluster, rows)
        floor = rows / await _read(shop.cluster)
        worker = shop["loms-1"]
        worker.start()
        await client.ask_until_answered("stocks", "ready", sku=1)
        read, seconds = last_recovery(shop)
        cost = await outage(worker.crash, client, ("stocks", {"sku": 1}), worker)
        return Rebuild(read, read / seconds, floor, cost, last_recovery(shop)[0])


async def fill(cluster: KafkaSettings, rows: int) -> None:
    """Write orders into their changelog, as a worker does."""
    producer = AIOKafkaProducer(
        **cluster.client_options(), linger_ms=5, max_batch_size=256 * 2**10
    )
    async with producer:
        for count in range(rows):
            # The shard of an order selects its partition, not its own key.
            shard = partition_of(b"%d" % (count % SHARDS), cluster.partitions)
            await producer.send(
                ORDERS_CHANGELOG.name,
                _row(count),
                key=b"%d" % (count + SHARDS),
                partition=shard,
                headers=[(PROCESSED_OFFSET_HEADER, b"0")],
            )


def _row(count: int) -> bytes:
    steps = [
        StatusChange(status, datetime.now(UTC), f"order.requests-1-{count}")
        for status in (Status.NEW, Status.AWAITING_PAYMENT)
    ]
    order = Order(
        order_id=count + SHARDS,
        user=count,
        request_id=f"order.requests-1-{count}",
        lines={1076963: 2, 1148162: 1},
        history=tuple(steps),
        answers={1076963: True, 1148162: True},
    )
    return ORDER_AGGREGATE.serdes[0].serialize(order)


async def _read(cluster: KafkaSettings) -> float:
    """Return the seconds in which a bare consumer reads the changelog."""
    consumer = AIOKafkaConsumer(
        **cluster.client_options(), enable_auto_commit=False, auto_offset_reset="earliest"
    )
    async with consumer:
        tps = [
            TopicPartition(ORDERS_CHANGELOG.name, number)
            for number in range(cluster.partitions)
        ]
        consumer.assign(tps)
        await consumer.seek_to_beginning()
        left = sum((await consumer.end_offsets(tps)).values())
        began = time.monotonic()
        while left > 0:
            fetched = await consumer.getmany(timeout_ms=200, max_records=5000)
            left -= sum(map(len, fetched.values()))
        return time.monotonic() - began


def last_recovery(shop: Shop) -> tuple[int, float]:
    """Return the rows and the seconds of the worker's last recovery."""
    found = _RECOVERED.findall(shop["loms-1"].log.read_text())
    return int(found[-1][0]), float(found[-1][1])
