"""Rows that expire, in a worker on a broker of its own: records with times of their own."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from schemas.contract import Contract
from schemas.stock import ListStocks, ReceiveStock, Release
from tests.component.audited import WITHIN_SECONDS, Place, opened, stop
from topics.catalog import STOCK_REQUESTS
from topics.kafka.topic_admin import TopicAdmin

_WORKER = """
from agents.__main__ import main
from agents.runtime import sweeper
sweeper.PASS_SECONDS = 0.5
main()
"""
DAYS_AGO = round(time.time() * 1000) - 3 * 86_400_000
PUT_IN = ReceiveStock(sku=1, warehouse_id=7, count=5)
ENTRY, RECEIPT = b"1/4103", b"1/key:k"
_LOOK_SECONDS = 0.2


@pytest.fixture(scope="module")
def empty_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with opened(tmp_path_factory) as place:
        yield place


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(empty_place: Place) -> Place:
    """A cluster whose stock requests have the times of their senders."""
    place = empty_place
    own = {"message.timestamp.type": "CreateTime", "retention.ms": "-1"}
    async with TopicAdmin(place.cluster) as admin:
        await admin.configure({STOCK_REQUESTS.name: own})
    # The broker applies settings some time later, and has no event for it.
    async with asyncio.timeout(WITHIN_SECONDS):
        while (await send(place, ListStocks(sku=1), DAYS_AGO, b"p")).timestamp_type:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
    return place


def started(place: Place) -> subprocess.Popen:
    """Start a worker of LOMS that sweeps twice a second."""
    own = {"WORKER": "loms-1", "STATE_DIR": str(place.directory / "loms-1")}
    with (place.directory / "loms.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", _WORKER, "loms"],
            env=place.environment | own,
            stdout=log,
            stderr=log,
        )


async def send(place: Place, request: Contract, at_ms: int, key: bytes) -> RecordMetadata:
    headers = [("idempotency-key", key)]
    async with AIOKafkaProducer(bootstrap_servers=place.cluster.kafka) as producer:
        topic, value = STOCK_REQUESTS.name, request.to_json()
        record_key = STOCK_REQUESTS.key_of(request)
        return await producer.send_and_wait(
            topic, value, record_key, timestamp_ms=at_ms, headers=headers
        )


async def left(place: Place) -> set[bytes]:
    """Return the rows of sku 1 that are not deleted."""
    rows = (await place.snapshot_with(b"1")).rows.items()
    return {key for key, row in rows if row.value}


async def deleted(place: Place, *keys: bytes) -> None:
    """Wait until the changelog has tombstones of these rows."""
    async with asyncio.timeout(WITHIN_SECONDS):
        while await left(place) & {*keys}:  # noqa: ASYNC110 -- Kafka has no event for it
            await asyncio.sleep(_LOOK_SECONDS)


async def test_expired_rows_are_deleted_and_the_shop_still_matches_its_log(place: Place):
    worker = started(place)
    try:
        await send(place, PUT_IN, DAYS_AGO, b"k")
        await send(place, Release(sku=1, order_id=4103), DAYS_AGO, b"r")
        await place.done()
        assert await left(place) == {b"1", ENTRY, RECEIPT}  # new, by the records' time
        await send(place, ListStocks(sku=1), round(time.time() * 1000), b"l")
        await deleted(place, ENTRY, RECEIPT)
        assert await left(place) == {b"1"}
        assert place.audit()[0] == 0
        await send(place, PUT_IN, round(time.time() * 1000), b"k")  # a day later it is new
        await place.done()
        code, output, counts = place.audit()
        assert (code, counts["received"], counts["available"]) == (0, 10, 10), output
    finally:
        ends = stop([worker])
    assert ends == [0]


async def test_local_rows_without_deleted_ones_match_the_log(place: Place):
    await place.empty()
    code, output, _ = place.audit("--stores", str(place.directory))
    assert code == 0, output
