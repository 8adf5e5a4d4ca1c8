"""Workers as processes, with standbys: one stops or dies, and the other one serves."""

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from schemas.stock import ReceiveStock
from tests.component.test_recovery import (
    WITHIN_SECONDS,
    are_there,
    changelog_records,
    receive,
)
from tests.component.test_workers import Worker
from tests.e2e.waiting import until
from tests.standins.broker import EmbeddedKafka
from topics.admin import create
from topics.catalog import STOCK_REQUESTS
from topics.kafka.settings import KafkaSettings

SKUS = 2000
RECORDS_OF_SKU = 2  # its stock level, and the receipt
FEW = 200  # of 4000 rows
SESSION_SECONDS = 6.0
LOAD_SECONDS = 0.01  # between two requests
BOTH = {0, 1}
SERVED = re.compile(r"event=ready partitions=\d+ numbers=(\S*)")
TAKE_OVER_SECONDS = 3.0
REBALANCES = 8  # a join, a warm-up and a leave of each; no endless series


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[KafkaSettings]:
    """A broker of its own: nobody else is in the group."""
    with EmbeddedKafka(tmp_path / "kafka") as broker:
        yield KafkaSettings(kafka=broker.bootstrap, partitions=len(BOTH))


class Workers(dict[str, Worker]):
    """Workers of LOMS, each the other one's standby."""

    def __init__(self, cluster: KafkaSettings, directory: Path) -> None:
        self._cluster = cluster
        self._directory = directory

    def start(self, name: str) -> Worker:
        """Start a worker; the log of an earlier one stays."""
        if name in self:
            log = self[name].log
            self[name].log = log.rename(log.with_name(f"{name}-before.log"))
        session = str(SESSION_SECONDS)
        options = {"STANDBY_REPLICAS": "1", "SESSION_TIMEOUT_SECONDS": session}
        self[name] = Worker(self._cluster, name, self._directory, **options)
        return self[name]

    async def share(self) -> None:
        """Wait until each of two serves one partition."""

        def have_one_each() -> bool:
            first, second = map(served, self.values())
            return {len(first), len(second)} == {1} and first | second == BOTH

        await until(have_one_each, "one partition each", WITHIN_SECONDS)
        await asyncio.sleep(1.0)  # the standbys read what came last


def served(worker: Worker) -> set[int]:
    """Return the partitions that a worker serves, by its log."""
    found = SERVED.findall(worker.output)
    return {int(number) for number in found[-1].split(",") if number} if found else set()


@pytest.fixture
async def workers(cluster: KafkaSettings, tmp_path: Path) -> AsyncIterator[Workers]:
    """No worker yet; those that are started end with the test."""
    await create(cluster)
    started = Workers(cluster, tmp_path)
    yield started
    for worker in started.values():
        worker.process.kill()
        worker.process.wait(90)


@asynccontextmanager
async def load(cluster: KafkaSettings) -> AsyncIterator[list[int]]:
    """Send requests all the time, one of each sku; yield the skus of those sent."""
    sent: list[int] = []

    async def send() -> None:
        async with AIOKafkaProducer(bootstrap_servers=cluster.kafka) as producer:
            for sku in range(SKUS + 1, 10**6):
                request = ReceiveStock(sku=sku, warehouse_id=1, count=1)
                key = STOCK_REQUESTS.key_of(request)
                await producer.send_and_wait(STOCK_REQUESTS.name, request.to_json(), key)
                sent.append(sku)
                await asyncio.sleep(LOAD_SECONDS)

    sending = asyncio.create_task(send())
    yield sent
    assert not sending.done()
    sending.cancel()
    await asyncio.wait([sending])


async def test_a_standby_takes_over_from_a_worker_that_stops_and_from_one_that_dies(
    cluster: KafkaSettings, workers: Workers
):
    first = workers.start("loms-1")
    await receive(cluster, range(1, SKUS + 1), SKUS * RECORDS_OF_SKU)
    second = workers.start("loms-2")
    async with load(cluster) as sent:
        await workers.share()
        first.process.terminate()
        assert await asyncio.to_thread(first.process.wait, 90) == 0
        await until(lambda: served(second) == BOTH, "it serves all", 1.0)
        assert second.recovered[-1] < FEW
        assert "event=not-handed-over" not in first.output

        again = workers.start("loms-1")
        await workers.share()
        second.process.send_signal(signal.SIGKILL)
        died = time.monotonic()
        second.process.wait(90)
        await until(lambda: served(again) == BOTH, "it serves all", WITHIN_SECONDS)
        assert time.monotonic() - died < SESSION_SECONDS + TAKE_OVER_SECONDS
        assert again.recovered[-1] < FEW
    for worker in (first, second, again):
        assert "OffsetCommit failed" not in worker.output
        assert len(SERVED.findall(worker.output)) <= REBALANCES, worker.output
    everything = (SKUS + len(sent)) * RECORDS_OF_SKU
    await are_there(cluster, everything)
    assert (
        await changelog_records(cluster) - everything <= RECORDS_OF_SKU
    )  # one unconfirmed
