"""Many unpaid orders: the delay of their cancellation, and the memory that each takes."""

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.contract import SHARDS
from schemas.order import Status
from tests.benchmarks.load import preload
from tests.benchmarks.meter import rss_bytes
from tests.benchmarks.recovery.counter import one_gateway, put
from tests.benchmarks.stories import PLENTY
from topics.catalog import ORDER_EVENTS, ORDER_REQUESTS
from topics.kafka.settings import KafkaSettings

SECONDS_TO_PAY = 75
_SKUS = range(4_100_000_001, 4_100_000_101)
_FIRST_USER = 200_000_000


@dataclass(frozen=True)
class Lateness:
    """The cancellations of unpaid orders.

    Attributes:
        orders: their number; all await payment at the same time.
        settled_per_second: from the first that awaited payment to the last.
        cancelled_per_second: from the first cancellation to the last.
        p50: seconds from an order's deadline until its cancellation is in the log, the
            median.
        p99: the 99th percentile.
        most: the maximum.
        bytes_each: growth of the worker's memory for each order of the second half.
    """

    orders: int
    settled_per_second: float
    cancelled_per_second: float
    p50: float
    p99: float
    most: float
    bytes_each: float


async def lateness(directory: Path, orders: int, rate: float) -> Lateness:
    """Create orders at a limited rate, and do not pay them."""
    async with one_gateway(directory) as (shop, client):
        worker = shop["loms-1"]
        worker.start(PAYMENT_TIMEOUT_SECONDS=str(SECONDS_TO_PAY))
        await put(client, _SKUS, PLENTY)
        events = _Events(shop.cluster)
        async with events, asyncio.TaskGroup() as group:
            group.create_task(
                preload(shop.kafka, ORDER_REQUESTS.name, _create_order, orders, rate)
            )
            # By then all buffers have their full size.
            await events.read_until(Status.AWAITING_PAYMENT, orders // 2)
            before = rss_bytes(worker.pid)
            await events.read_until(Status.AWAITING_PAYMENT, orders)
            grown = rss_bytes(worker.pid) - before
            assert not events.times[Status.CANCELLED], "not all awaited payment at once"
            await events.read_until(Status.CANCELLED, orders)
        return _lateness(events, grown)


def _create_order(number: int) -> tuple[str, dict]:
    user = _FIRST_USER + number
    items = [{"sku": _SKUS[number % len(_SKUS)], "count": 1}]
    return str(user % SHARDS), {"type": "createOrder", "user": user, "items": items}


class _Events:
    """Reads the statuses of orders, and their times."""

    def __init__(self, cluster: KafkaSettings) -> None:
        self.times: dict[Status, dict[int, float]] = {status: {} for status in Status}
        self._tps = [
            TopicPartition(ORDER_EVENTS.name, n) for n in range(cluster.partitions)
        ]
        self._consumer = AIOKafkaConsumer(
            **cluster.client_options(), auto_offset_reset="earliest"
        )

    async def __aenter__(self) -> None:
        await self._consumer.start()
        self._consumer.assign(self._tps)

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def read_until(self, status: Status, number: int) -> None:
        while len(self.times[status]) < number:
            for records in (await self._consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    event = json.loads(record.value)
                    logged_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
                    at = datetime.fromisoformat(event["at"])
                    final = event["status"] == Status.CANCELLED
                    when = logged_at if final else at
                    self.times[Status(event["status"])].setdefault(
                        event["orderID"], when.timestamp()
                    )


def _lateness(events: _Events, grown: int) -> Lateness:
    awaited, cancelled = (
        events.times[Status.AWAITING_PAYMENT],
        events.times[Status.CANCELLED],
    )
    late = sorted(cancelled[each] - at - SECONDS_TO_PAY for each, at in awaited.items())
    return Lateness(
        orders=len(late),
        settled_per_second=_rate(awaited),
        cancelled_per_second=_rate(cancelled),
        p50=round(late[len(late) // 2], 3),
        p99=round(late[len(late) * 99 // 100], 3),
        most=round(late[-1], 3),
        bytes_each=round(grown / (len(late) - len(late) // 2)),
    )


def _rate(times: dict[int, float]) -> float:
    return round(len(times) / (max(times.values()) - min(times.values())))
