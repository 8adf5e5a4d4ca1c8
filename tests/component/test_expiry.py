"""Expired rows and old orders, on a broker of its own: records with times of their own."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from agents.runtime.producer import ProducerRecord
from schemas.contract import Code, Contract, Item, Refused
from schemas.order import CancelOrder, CreateOrder, ListOrder, OrderView, Status, order_id
from schemas.stock import ListStocks, ReceiveStock, Release
from tests.component.audited import WITHIN_SECONDS, Place, opened, stop
from topics.catalog import ORDER_REPLIES, ORDER_REQUESTS, STOCK_REQUESTS, TOPIC_OF
from topics.kafka.request_reply import RequestReplyClient
from topics.kafka.topic_admin import TopicAdmin

_WORKER = """
from agents.__main__ import main
from agents.loms import retention
from agents.runtime import sweeper
sweeper.PASS_SECONDS = retention.PASS_SECONDS = 0.5
main()
"""
DAY_MS = 86_400_000
DAYS_AGO = round(time.time() * 1000) - 3 * DAY_MS
RETENTION_DAYS = 30
MONTHS_AGO = DAYS_AGO - 2 * RETENTION_DAYS * DAY_MS
PUT_IN = ReceiveStock(sku=1, warehouse_id=7, count=5)
ENTRY, RECEIPT = b"1/4103", b"1/key:k"
_LOOK_SECONDS = 0.2


@pytest.fixture(scope="module")
def empty_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with opened(tmp_path_factory) as place:
        yield place


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(empty_place: Place) -> Place:
    """A cluster whose requests of stock and orders have the times of their senders."""
    place = empty_place
    own = {"message.timestamp.type": "CreateTime", "retention.ms": "-1"}
    async with TopicAdmin(place.cluster) as admin:
        await admin.configure({t.name: own for t in (STOCK_REQUESTS, ORDER_REQUESTS)})
    # The broker applies settings some time later, and has no event for it.
    async with asyncio.timeout(WITHIN_SECONDS):
        for probe in (ListStocks(sku=1), ListOrder(order_id=1)):
            while (await send(place, probe, DAYS_AGO, b"p")).timestamp_type:  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_SECONDS)
    return place


def started(place: Place) -> subprocess.Popen:
    """Start a worker of LOMS that looks for old rows and orders twice a second."""
    own = {"WORKER": "loms-1", "STATE_DIR": str(place.directory / "loms-1")}
    own["ORDER_RETENTION_DAYS"] = str(RETENTION_DAYS)
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
        topic, value = TOPIC_OF[type(request)], request.to_json()
        record_key = topic.key_of(request)
        return await producer.send_and_wait(
            topic.name, value, record_key, timestamp_ms=at_ms, headers=headers
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


async def view(place: Place, number: int) -> Status | Code:
    """Ask for an order; return its status, or the code of the refusal."""
    request = ListOrder(order_id=number)
    record = ProducerRecord(
        ORDER_REQUESTS.name, ORDER_REQUESTS.key_of(request), request.to_json(), []
    )
    async with (
        asyncio.timeout(WITHIN_SECONDS),
        RequestReplyClient(place.cluster, replies=None, idempotent=True) as client,
        client.request(record) as (_, pending),
    ):
        reply = ORDER_REPLIES.decode(await pending.reply)
    if isinstance(reply, Refused):
        return reply.code
    assert isinstance(reply, OrderView)
    return reply.status


async def test_an_old_order_is_deleted_and_an_open_or_younger_one_stays(place: Place):
    await place.empty()
    old, young, still_open = (order_id(7, f"key:{key}") for key in ("old", "young", "open"))
    now, create = (
        round(time.time() * 1000),
        CreateOrder(user=7, items=(Item(sku=1, count=1),)),
    )
    worker = started(place)
    try:
        for sku in (1, 2):
            await send(place, PUT_IN.model_copy(update={"sku": sku}), now, b"goods")
        await place.done()
        for key, number, at in ((b"old", old, MONTHS_AGO), (b"young", young, now)):
            await send(place, create, at, key)
            await send(place, CancelOrder(order_id=number), at, b"c")
        await send(place, create, now, b"open")
        await shown(place, old, Code.UNKNOWN_ORDER)
        await place.done()
        assert await view(place, young) is Status.CANCELLED
        assert await view(place, still_open) is Status.AWAITING_PAYMENT
        snapshot = await place.snapshot_with(str(old).encode())
        assert snapshot.rows[str(old).encode()].value is None
        code, output, _ = place.audit()
        assert code == 0, output
        # Its key is forgotten with it; stock remembers its line, which was released now.
        await send(place, CreateOrder(user=7, items=(Item(sku=2, count=1),)), now, b"old")
        await shown(place, old, Status.AWAITING_PAYMENT)
    finally:
        ends = stop([worker])
    assert ends == [0]
    await place.empty()
    code, output, _ = place.audit("--stores", str(place.directory))
    assert code == 0, output


async def shown(place: Place, number: int, expected: Status | Code) -> None:
    """Wait until listOrder shows this of an order."""
    async with asyncio.timeout(WITHIN_SECONDS):
        while await view(place, number) is not expected:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
