"""The audit of real workers on a broker of its own: what is planted is found and named."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from agents.audit.compare import Copy
from agents.audit.copies import read_changelogs
from agents.audit.logs import Logs
from agents.audit.scope import CHANGELOGS, GROUPS
from agents.store import MARKER, Store
from schemas.cart import ListCart
from schemas.contract import Contract, Item
from schemas.order import CancelOrder, CreateOrder, PayOrder, order_id
from schemas.stock import ReceiveStock
from topics.admin import cluster_id, create
from topics.broker.embedded import EmbeddedKafka, free_place
from topics.catalog import HOME, STOCK, STOCK_REQUESTS
from topics.cluster import Cluster

pytestmark = pytest.mark.trial

SERVICES = ("loms", "checkout")
WITHIN_SECONDS = 240.0
_LOOK_SECONDS = 0.2
PAID, CANCELLED, OPEN, FAILED = range(4)
SKU, OTHER = 11, 12


@dataclass
class Place:
    """Workers on a broker, and what they have."""

    cluster: Cluster
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
        """Run the audit, with what is different in its environment."""
        command = [sys.executable, "-m", "agents.audit", *options]
        environment = self.environment | different
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )

    def audit(self, *options: str) -> tuple[int, str, dict]:
        """Run the audit; return its exit code, what it said, and its last line."""
        ran = self.run("--questions", "9", *options)
        assert not ran.stderr, ran.stderr
        return ran.returncode, ran.stdout, json.loads(ran.stdout.splitlines()[-1])

    async def say(self, *requests: tuple[Contract, str]) -> None:
        """Put requests into their topics, each with an idempotency key."""
        async with AIOKafkaProducer(
            bootstrap_servers=self.cluster.kafka,
            request_timeout_ms=round(WITHIN_SECONDS * 1000),
        ) as producer:
            for request, key in requests:
                topic = HOME[type(request)]
                await producer.send_and_wait(
                    topic.name,
                    request.to_json(),
                    key=topic.key_of(request),
                    headers=[("idempotency-key", key.encode())],
                )

    async def copy_with(self, key: bytes) -> Copy:
        """Find the partition of the table that has a row."""
        async with Logs(self.cluster) as logs:
            partitions = await logs.partitions(CHANGELOGS)
            copies = await read_changelogs(logs, partitions)
        (kept,) = (copy for copy in copies.values() if key in copy.rows)
        return kept

    async def partition_of(self, key: bytes) -> int:
        """Return its number."""
        return (await self.copy_with(key)).partition

    async def forge(self, key: bytes, value: bytes, ahead: int) -> str:
        """Write a row over the newest one; return where it lies now."""
        kept = await self.copy_with(key)
        version = str(kept.rows[key].row.version + ahead).encode()
        async with AIOKafkaProducer(bootstrap_servers=self.cluster.kafka) as producer:
            sent = await producer.send_and_wait(
                kept.name, value, key, kept.partition, headers=[("version", version)]
            )
        return f"{sent.topic}-{sent.partition}@{sent.offset}"

    async def done(self) -> None:
        """Wait until the workers have committed all that there is."""
        topics = [topic for topic, group in GROUPS.items() if group in SERVICES]
        async with Logs(self.cluster) as logs, asyncio.timeout(WITHIN_SECONDS):
            partitions = await logs.partitions(topics)
            while True:
                spans = await logs.spans(partitions)
                committed = await logs.committed(GROUPS)
                if all(committed.get(tp, 0) == span.end for tp, span in spans.items()):
                    return
                await asyncio.sleep(_LOOK_SECONDS)


def _order(number: int) -> int:
    return order_id(number, f"key:c{number}")


async def a_history(place: Place) -> None:
    """Four orders, each with another end; and a cart of which nothing is known."""
    received = (ReceiveStock(sku=SKU, warehouse_id=w, count=5) for w in (1, 2))
    await place.say(*((request, f"r{n}") for n, request in enumerate(received)))
    lines = {n: [(SKU, 2)] for n in (PAID, CANCELLED, OPEN)} | {FAILED: [(OTHER, 1)]}
    for user, items in lines.items():
        wanted = tuple(Item(sku=sku, count=count) for sku, count in items)
        await place.say((CreateOrder(user=user, items=wanted), f"c{user}"))
    await place.say((ListCart(user=1), "l"))
    await place.done()
    await place.say(
        (PayOrder(order_id=_order(PAID)), "p"),
        (CancelOrder(order_id=_order(CANCELLED)), "x"),
    )
    await place.done()


def _stop(workers: list[subprocess.Popen]) -> list[int]:
    for worker in workers:
        worker.terminate()
    return [worker.wait(60) for worker in workers]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker whose topics are to be spoilt."""
    one = EmbeddedKafka(free_place(tmp_path_factory.mktemp("kafka")))
    try:
        one.start_and_wait()
        yield one.bootstrap
    finally:
        one.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(
    broker: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    """Workers that have stopped well, after a history; and were audited while they ran."""
    place = Place(Cluster(kafka=broker, partitions=2), tmp_path_factory.mktemp("state"))
    await create(place.cluster)
    workers = place.start()
    try:
        await a_history(place)
        code, told, counts = place.audit()
        assert code == 0, told
        assert counts["questions"] == 1 + 4  # no one prices carts here: they aren't asked
        assert counts["received"] == 10
        assert (counts["available"], counts["reserved"], counts["written_off"]) == (6, 2, 2)
    finally:
        ends = _stop(workers)
    assert not any(ends)
    yield place


async def test_a_shop_that_stopped_well_is_clean_and_its_stores_as_well(place: Place):
    code, told, counts = place.audit("--stores", str(place.directory))

    assert code == 0, told
    assert counts["questions"] == 0
    assert "loms does not run" in told
    assert "is not complete" not in told


async def test_what_is_forged_into_a_store_is_found(place: Place):
    state = place.directory / "loms-1" / "stock"
    store = Store(state, await cluster_id(place.cluster))
    (partition, key) = next(
        (n, key) for n in store.progress for key, _ in store.rows(n) if b"/" not in key
    )
    version = store.progress[partition].version
    store.put(partition, {key: b'{"available":{"1":9},"reserved":{}}'}, version)
    store.unacknowledged = 0
    store.close()
    before = (state / MARKER).read_text()

    code, told, counts = place.audit("--stores", str(place.directory))

    assert code == 1
    assert counts["differences"] == 1
    assert f"row {key.decode()!r} at {state}" in told
    assert (state / MARKER).read_text() == before


async def test_a_row_that_is_forged_into_a_changelog_is_found(place: Place):
    key = f"{SKU}/{_order(PAID)}".encode()
    value = b'{"fate":"released","parcels":{"1":2},"at":"2026-01-01T12:00:00Z"}'
    at = await place.forge(key, value, ahead=0)

    code, told, counts = place.audit("--no-questions")

    assert code == 1
    assert counts["differences"] == 1
    assert f"{STOCK.name} row {key.decode()!r} at {at}" in told
    assert "stock.requests-" in told


async def test_what_the_table_was_at_a_named_offset_is_shown(place: Place):
    partition = await place.partition_of(str(SKU).encode())
    ran = place.run("--at", f"stock.requests-{partition}=2", "--key", str(SKU))

    assert ran.returncode == 0, ran.stderr
    assert f"{SKU}: " in ran.stdout


def test_without_kafka_it_says_so_in_one_line(place: Place):
    ran = place.run(KAFKA="127.0.0.1:1")

    assert ran.returncode == 2
    assert ran.stderr.startswith("audit: ")
    assert ran.stderr.count("\n") == 1
    assert not ran.stdout


async def test_where_a_log_has_lost_its_beginning_the_tables_are_judged(place: Place):
    """By their receipts: what was forged above has made two pieces vanish."""
    partition = await place.partition_of(str(SKU).encode())
    tp = TopicPartition(STOCK_REQUESTS.name, partition)
    admin = AIOKafkaAdminClient(bootstrap_servers=place.cluster.kafka)
    await admin.start()
    await admin.delete_records({tp: RecordsToDelete(2)})
    await admin.close()

    code, told, counts = place.audit("--no-questions")

    assert code == 1
    assert counts["received"] == 10
    assert f"{tp.topic}-{tp.partition} has lost its first 2 records" in told
    assert "received 5, but available" in told
    assert f"order {_order(PAID)} is paid" in told
