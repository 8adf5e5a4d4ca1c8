"""The audit of real workers on a broker of its own: what is planted is found and named."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from agents.runtime.state_store import CHECKPOINT, StateStore
from tests.component.audited import PAID, SKU, Place, a_history, order, stop
from topics.admin import cluster_id, create
from topics.broker.process import EmbeddedKafka, free_layout
from topics.catalog import STOCK_CHANGELOG, STOCK_REQUESTS
from topics.kafka.settings import KafkaSettings


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker whose topics are to be spoilt."""
    one = EmbeddedKafka(free_layout(tmp_path_factory.mktemp("kafka")))
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
    place = Place(
        KafkaSettings(kafka=broker, partitions=2), tmp_path_factory.mktemp("state")
    )
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
        ends = stop(workers)
    assert not any(ends)
    await place.empty()
    yield place


async def test_a_shop_that_stopped_well_is_clean_and_its_stores_as_well(place: Place):
    code, told, counts = place.audit("--stores", str(place.directory))

    assert code == 0, told
    assert counts["questions"] == 0
    assert "loms does not run" in told
    assert "is not complete" not in told


async def test_what_is_forged_into_a_store_is_found(place: Place):
    state = place.directory / "loms-1" / "stock"
    store = StateStore(state, await cluster_id(place.cluster))
    (partition, key) = next(
        (n, key) for n in store.offsets for key, _ in store.rows(n) if b"/" not in key
    )
    version = store.offsets[partition].source_offset
    store.put(partition, {key: b'{"available":{"1":9},"reserved":{}}'}, version)
    store.pending_acks = 0
    store.close()
    before = (state / CHECKPOINT).read_text()

    code, told, counts = place.audit("--stores", str(place.directory))

    assert code == 1
    assert counts["differences"] == 1
    assert f"row {key.decode()!r} at {state}" in told
    assert (state / CHECKPOINT).read_text() == before


async def test_a_row_that_is_forged_into_a_changelog_is_found(place: Place):
    key = f"{SKU}/{order(PAID)}".encode()
    value = b'{"fate":"released","parcels":{"1":2},"at":"2026-01-01T12:00:00Z"}'
    at = await place.forge(key, value, ahead=0)

    code, told, counts = place.audit("--no-questions")

    assert code == 1
    assert counts["differences"] == 1
    assert f"{STOCK_CHANGELOG.name} row {key.decode()!r} at {at}" in told
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
    assert ran.stdout == "audit: Kafka at 127.0.0.1:1, the cluster of KAFKA\n"


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
    assert f"order {order(PAID)} is paid" in told
