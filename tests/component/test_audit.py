"""The audit of real workers on a broker of its own: planted differences are found."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import TopicPartition

from agents.runtime.rows import Row
from agents.runtime.state_store import StateStore
from tests.component.audited import PAID, SKU, Place, a_history, opened, order, serving
from topics.admin import cluster_id
from topics.catalog import STOCK_CHANGELOG, STOCK_REQUESTS


@pytest.fixture(scope="module")
def empty_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with opened(tmp_path_factory) as place:
        yield place


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(empty_place: Place) -> Place:
    """Workers that have stopped well, after a history; audited while they ran."""
    async with serving(empty_place):
        await a_history(empty_place)
        code, output, counts = empty_place.audit()
        assert code == 0, output
        # no ProductService runs here: carts are not queried
        assert counts["questions"] == 1 + 4
        assert counts["received"] == 10
        assert (counts["available"], counts["reserved"], counts["written_off"]) == (6, 2, 2)
    return empty_place


async def test_a_shop_that_stopped_well_is_clean_and_so_are_its_stores(place: Place):
    code, output, counts = place.audit("--stores", str(place.directory))

    assert code == 0, output
    assert counts["questions"] == 0
    assert "loms does not run" in output
    assert "no usable rows" not in output


async def test_a_row_that_is_forged_into_a_store_is_found(place: Place):
    state = place.directory / "loms-1" / "stock"
    store = StateStore(state, await cluster_id(place.cluster))
    for number in list(store.partitions()):
        store.load(number)
    (partition, key) = next(
        (n, key) for n in store.offsets for key, _ in store.rows(n) if b"/" not in key
    )
    progress = store.offsets[partition].stored
    forged = Row(key, b'{"available":{"1":9},"reserved":{}}', progress.source_offset)
    store.store(partition, [forged], progress)
    store.close()
    before = _files(state)

    code, output, counts = place.audit("--stores", str(place.directory))

    assert code == 1
    assert counts["differences"] == 1
    assert f"row {key.decode()!r} at {state}" in output
    assert _files(state) == before


def _files(directory: Path) -> dict[str, bytes]:
    return {f.name: f.read_bytes() for f in (directory / "rows").iterdir()}


async def test_a_row_that_is_forged_into_a_changelog_is_found(place: Place):
    key = f"{SKU}/{order(PAID)}".encode()
    value = b'{"fate":"released","parcels":{"1":2},"at":"2026-01-01T12:00:00Z"}'
    at = await place.forge(key, value, ahead=0)

    code, output, counts = place.audit("--no-questions")

    assert code == 1
    assert counts["differences"] == 1
    assert f"{STOCK_CHANGELOG.name} row {key.decode()!r} at {at}" in output
    assert "stock.requests-" in output


async def test_a_row_is_printed_as_it_was_at_an_offset(place: Place):
    partition = await place.partition_of(str(SKU).encode())
    ran = place.run("--at", f"stock.requests-{partition}=2", "--key", str(SKU))

    assert ran.returncode == 0, ran.stderr
    assert f"{SKU}: " in ran.stdout


def test_without_kafka_the_reason_is_one_line(place: Place):
    ran = place.run(KAFKA="127.0.0.1:1")

    assert ran.returncode == 2
    assert ran.stderr.startswith("audit: ")
    assert ran.stderr.count("\n") == 1
    assert ran.stdout == "audit: Kafka at 127.0.0.1:1, the cluster of KAFKA\n"


async def test_tables_of_a_log_without_its_first_records_are_checked(place: Place):
    """But not for what was received: receipts expire."""
    partition = await place.partition_of(str(SKU).encode())
    tp = TopicPartition(STOCK_REQUESTS.name, partition)
    await place.delete_records(tp, 2)

    code, output, counts = place.audit("--no-questions")

    assert code == 1
    assert counts["received"] == 0
    assert "skus is unknown: their logs have lost the first records" in output
    assert f"{tp.topic}-{tp.partition} has lost its first 2 records" in output
    assert f"order {order(PAID)} is paid" in output
