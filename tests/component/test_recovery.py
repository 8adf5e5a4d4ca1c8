"""Workers that are killed use their local rows, and read only what came later."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from agents.ops.audit.snapshots import read_changelogs, read_local_stores
from schemas.stock import ReceiveStock
from tests.component.test_workers import Worker
from tests.e2e.waiting import until
from tests.standins.broker import EmbeddedKafka
from topics.admin import cluster_id, create
from topics.catalog import STOCK_CHANGELOG, STOCK_REQUESTS
from topics.kafka.reader import TopicReader
from topics.kafka.settings import KafkaSettings
from topics.topology import CHANGELOGS

SKUS = 60_000  # their rows fill RocksDB's memory several times
MORE = 2000
RECORDS_OF_SKU = 2  # its stock level, and the receipt
WITHIN_SECONDS = 120.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[KafkaSettings]:
    """A broker of its own: its changelogs are compared with the workers' rows."""
    with EmbeddedKafka(tmp_path / "kafka") as broker:
        yield KafkaSettings(kafka=broker.bootstrap, partitions=2)


async def receive(cluster: KafkaSettings, skus: range, records: int) -> None:
    """Send a unit of each sku; return when the changelog has so many records."""
    async with AIOKafkaProducer(bootstrap_servers=cluster.kafka) as producer:
        for sku in skus:
            request = ReceiveStock(sku=sku, warehouse_id=1, count=1)
            key = STOCK_REQUESTS.key_of(request)
            await producer.send(STOCK_REQUESTS.name, request.to_json(), key)
    await are_there(cluster, records)


async def are_there(cluster: KafkaSettings, records: int) -> None:
    """Wait until the changelog has so many records."""

    async def has_them() -> bool:
        return await changelog_records(cluster) >= records

    await until(has_them, f"{records} rows", WITHIN_SECONDS)


async def changelog_records(cluster: KafkaSettings) -> int:
    async with TopicReader(cluster) as reader:
        ranges = await reader.offset_ranges({STOCK_CHANGELOG: cluster.partitions})
        return sum(each.end for each in ranges.values())


async def start(cluster: KafkaSettings, name: str, directory: Path) -> tuple[Worker, int]:
    """Start a worker; return it when it is ready, and the rows that it has read."""
    worker = Worker(cluster, name, directory, SESSION_TIMEOUT_SECONDS="6")
    await until(lambda: worker.partitions, f"{name} is ready", WITHIN_SECONDS)
    return worker, worker.recovered[-1]


def kill(worker: Worker) -> None:
    worker.process.send_signal(signal.SIGKILL)
    worker.process.wait(90)


async def test_a_killed_worker_reads_only_what_its_rows_lack(
    cluster: KafkaSettings, tmp_path: Path
):
    await create(cluster)
    directory = tmp_path / "state"
    directory.mkdir()
    first, _ = await start(cluster, "loms-1", directory)
    total = SKUS * RECORDS_OF_SKU
    await receive(cluster, range(1, SKUS + 1), total)
    kill(first)

    again, read = await start(cluster, "loms-1", directory)
    assert 0 <= read < total / 2
    await receive(cluster, range(SKUS + 1, SKUS + MORE + 1), total + 1)
    kill(again)  # while it processes the others, or soon after

    other, read = await start(cluster, "loms-2", directory)
    assert read > total
    last = SKUS + MORE + 1
    await receive(cluster, range(last, last + MORE), total + 2 * MORE * RECORDS_OF_SKU)
    kill(other)

    again, read = await start(cluster, "loms-1", directory)
    assert MORE * RECORDS_OF_SKU <= read < total / 2
    again.process.terminate()
    assert again.process.wait(90) == 0
    assert "event=local-state-discarded" not in again.output

    async with TopicReader(cluster) as reader:
        partitions = await reader.partitions(CHANGELOGS)
        changelogs = await read_changelogs(reader, partitions)
    compared = set()
    for store in read_local_stores(directory, await cluster_id(cluster), []):
        changelog = changelogs[TopicPartition(store.changelog.name, store.partition)]
        expected = {key: each.value for key, each in changelog.rows.items()}
        rows = {key: each.value for key, each in store.rows.items()}
        if "loms-1" in str(store.store):
            assert rows == expected
            assert store.source_offset == changelog.source_offset
            compared.add((store.changelog, store.partition))
        else:  # a prefix of rows that never change
            assert rows.items() <= expected.items()
    assert {(STOCK_CHANGELOG, 0), (STOCK_CHANGELOG, 1)} <= compared
