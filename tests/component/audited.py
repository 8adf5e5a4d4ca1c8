"""A shop to be audited: workers of its own on a broker, and a history."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from agents.ops.audit.snapshots import TableSnapshot, read_changelogs
from schemas.cart import ListCart
from schemas.contract import Contract, Item
from schemas.order import CancelOrder, CreateOrder, PayOrder, order_id
from schemas.stock import ReceiveStock
from tests.standins.broker import EmbeddedKafka
from topics.admin import create
from topics.catalog import TOPIC_OF
from topics.kafka.reader import TopicReader
from topics.kafka.settings import KafkaSettings
from topics.kafka.topic_admin import TopicAdmin
from topics.topology import CHANGELOGS, GROUPS

SERVICES = ("loms", "checkout")
WITHIN_SECONDS = 240.0
_LOOK_SECONDS = 0.2
PAID, CANCELLED, OPEN, FAILED = range(4)
SKU, OTHER = 11, 12


@dataclass
class Place:
    """Workers on a broker, and their directory."""

    cluster: KafkaSettings
    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        own = {"KAFKA": self.cluster.kafka, "PARTITIONS": str(self.cluster.partitions)}
        return {**os.environ, **own}

    def start(self) -> list[subprocess.Popen]:
        """Start a worker of each service."""
        started = []
        for name in SERVICES:
            own = {"WORKER": f"{name}-1", "STATE_DIR": str(self.directory / f"{name}-1")}
            with (self.directory / f"{name}.log").open("ab") as log:
                command = [sys.executable, "-m", "agents", name]
                environment = self.environment | own
                started.append(
                    subprocess.Popen(command, env=environment, stdout=log, stderr=log)
                )
        return started

    def run(self, *options: str, **different: str) -> subprocess.CompletedProcess[str]:
        """Run the audit, with these variables in its environment."""
        command = [sys.executable, "-m", "agents.ops.audit", *options]
        environment = self.environment | different
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )

    def audit(self, *options: str) -> tuple[int, str, dict]:
        """Run the audit; return its exit code, its output, and the last line's counts."""
        ran = self.run("--questions", "9", *options)
        assert not ran.stderr, ran.stderr
        return ran.returncode, ran.stdout, json.loads(ran.stdout.splitlines()[-1])

    async def send(self, *requests: tuple[Contract, str]) -> None:
        """Send requests to their topics, each with an idempotency key."""
        async with AIOKafkaProducer(
            bootstrap_servers=self.cluster.kafka,
            request_timeout_ms=round(WITHIN_SECONDS * 1000),
        ) as producer:
            for request, key in requests:
                topic = TOPIC_OF[type(request)]
                await producer.send_and_wait(
                    topic.name,
                    request.to_json(),
                    key=topic.key_of(request),
                    headers=[("idempotency-key", key.encode())],
                )

    async def snapshot_with(self, key: bytes) -> TableSnapshot:
        """Return the snapshot of the partition that has a row."""
        async with TopicReader(self.cluster) as reader:
            partitions = await reader.partitions(CHANGELOGS)
            snapshots = await read_changelogs(reader, partitions)
        (found,) = (each for each in snapshots.values() if key in each.rows)
        return found

    async def partition_of(self, key: bytes) -> int:
        """Return the number of the partition that has a row."""
        return (await self.snapshot_with(key)).partition

    async def forge(self, key: bytes, value: bytes, ahead: int) -> str:
        """Write a row over the newest one; return its location."""
        snapshot = await self.snapshot_with(key)
        version = str(snapshot.rows[key].source_offset + ahead).encode()
        async with AIOKafkaProducer(bootstrap_servers=self.cluster.kafka) as producer:
            sent = await producer.send_and_wait(
                snapshot.changelog.name,
                value,
                key,
                snapshot.partition,
                headers=[("version", version)],
            )
        return f"{sent.topic}-{sent.partition}@{sent.offset}"

    async def delete_records(self, tp: TopicPartition, before: int) -> None:
        """Delete the records of a log below an offset."""
        async with TopicAdmin(self.cluster) as admin:
            await admin.delete_records({tp: before})

    async def done(self) -> None:
        """Wait until the workers have committed all records."""
        topics = [topic for topic, group in GROUPS.items() if group in SERVICES]
        async with TopicReader(self.cluster) as reader, asyncio.timeout(WITHIN_SECONDS):
            partitions = await reader.partitions(topics)
            while True:
                ranges = await reader.offset_ranges(partitions)
                committed = await reader.committed(GROUPS)
                if all(committed.get(tp, 0) == held.end for tp, held in ranges.items()):
                    return
                await asyncio.sleep(_LOOK_SECONDS)

    async def empty(self) -> None:
        """Wait until the groups have no members: a worker's session outlives it."""
        async with TopicReader(self.cluster) as reader, asyncio.timeout(WITHIN_SECONDS):
            for name in SERVICES:
                while await reader.has_members(name):  # noqa: ASYNC110 -- Kafka has no event for it
                    await asyncio.sleep(_LOOK_SECONDS)


@contextmanager
def opened(directories: pytest.TempPathFactory) -> Iterator[Place]:
    """Start a broker with the topics of the shop; its logs may be damaged."""
    with EmbeddedKafka(directories.mktemp("kafka")) as broker:
        cluster = KafkaSettings(kafka=broker.bootstrap, partitions=2)
        asyncio.run(create(cluster))
        yield Place(cluster, directories.mktemp("state"))


def order(number: int) -> int:
    return order_id(number, f"key:c{number}")


async def a_history(place: Place) -> None:
    """Four orders, each with another end; and a query of a cart without a row."""
    received = (ReceiveStock(sku=SKU, warehouse_id=w, count=5) for w in (1, 2))
    await place.send(*((request, f"r{n}") for n, request in enumerate(received)))
    lines = {n: [(SKU, 2)] for n in (PAID, CANCELLED, OPEN)} | {FAILED: [(OTHER, 1)]}
    for user, items in lines.items():
        lines_of_user = tuple(Item(sku=sku, count=count) for sku, count in items)
        await place.send((CreateOrder(user=user, items=lines_of_user), f"c{user}"))
    await place.send((ListCart(user=1), "l"))
    await place.done()
    await place.send(
        (PayOrder(order_id=order(PAID)), "p"),
        (CancelOrder(order_id=order(CANCELLED)), "x"),
    )
    await place.done()


@asynccontextmanager
async def serving(place: Place) -> AsyncIterator[None]:
    """Run workers, which have to stop well."""
    workers = place.start()
    try:
        yield
    finally:
        ends = stop(workers)
    assert not any(ends)
    await place.empty()


def stop(workers: list[subprocess.Popen]) -> list[int]:
    for worker in workers:
        worker.terminate()
    return [worker.wait(60) for worker in workers]
