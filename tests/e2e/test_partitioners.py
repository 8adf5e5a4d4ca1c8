"""Records under any key, in any partition, from any client: one owner, one answer."""

import asyncio
import json
import shutil
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.e2e.clients import HttpClient, answer_of, as_record
from tests.e2e.ids import IdFactory
from tests.e2e.kafka import Kafka
from tests.e2e.records import CORRELATION_ID, REPLY_TOPIC, Record
from tests.e2e.steps import cart, lines, order, receive, received, status, stocks

PARTITIONS = 8

Misplace = Callable[[Record], Record]


def _crc32(sent: Record) -> Record:
    """Choose a partition as librdkafka's `consistent_random` does."""
    return replace(sent, partition=zlib.crc32(sent.key) % PARTITIONS)


MISPLACED: dict[str, Misplace] = {
    "no key": lambda sent: replace(sent, key=None),
    "an empty key": lambda sent: replace(sent, key=b""),
    "another's key": lambda sent: replace(sent, key=b"424242"),
    "a key of bytes": lambda sent: replace(sent, key=b"\xff\x00\xfe"),
    "librdkafka": _crc32,
    **{
        f"partition {n}": lambda sent, n=n: replace(sent, partition=n)
        for n in range(PARTITIONS)
    },
}


@pytest.fixture(params=MISPLACED.values(), ids=MISPLACED.keys())
def misplace(request: pytest.FixtureRequest) -> Misplace:
    """A way to send a record to a wrong partition."""
    return request.param


async def _do(kafka: Kafka, misplace: Misplace, call: str, **body: Any) -> dict[str, Any]:
    reply = await kafka.ask(misplace(as_record(call, body)))
    answer = answer_of(reply.value)
    assert answer.code is None, answer
    return answer.reply


async def test_a_misrouted_record_reaches_its_owner_and_is_answered(
    kafka: Kafka, http: HttpClient, ids: IdFactory, misplace: Misplace
):
    user, (sku, _) = ids.user(), ids.product()
    await receive(http, sku, 10)
    await http.do("addToCart", user=user, sku=sku, count=1)

    await _do(kafka, misplace, "receiveStock", sku=sku, warehouseID=1, count=5)
    assert await stocks(http, sku) == {1: 15}
    await _do(kafka, misplace, "addToCart", user=user, sku=sku, count=3)
    await _do(kafka, misplace, "deleteFromCart", user=user, sku=sku, count=1)
    assert await cart(http, user) == {sku: 3}
    seen = await _do(kafka, misplace, "listCart", user=user)
    assert [item["count"] for item in seen["items"]] == [3]
    made = (await _do(kafka, misplace, "purchase", user=user))["orderID"]
    assert await lines(http, made) == {sku: 3}
    items = [{"sku": sku, "count": 2}]
    other = (await _do(kafka, misplace, "createOrder", user=user, items=items))["orderID"]
    assert (await _do(kafka, misplace, "listOrder", orderID=other))["user"] == user
    await _do(kafka, misplace, "orderPayed", orderID=made)
    await _do(kafka, misplace, "cancelOrder", orderID=other)
    assert await status(http, made) == "paid"
    assert await status(http, other) == "cancelled"
    assert await _do(kafka, misplace, "stocks", sku=sku) == {
        "stocks": [{"warehouseID": 1, "count": 12}]
    }


async def test_a_misrouted_record_with_a_key_counts_once_in_any_partition(
    kafka: Kafka, http: HttpClient, ids: IdFactory
):
    sku, key = ids.sku(), ids.key()
    sent = as_record("receiveStock", {"sku": sku, "warehouseID": 1, "count": 1}, key)
    replies = await asyncio.gather(
        *(kafka.ask(misplace(sent)) for misplace in MISPLACED.values())
    )
    assert {reply.value for reply in replies} == {b'{"type":"done"}'}
    assert await stocks(http, sku) == {1: 1}


async def test_misrouted_records_of_one_client_stay_in_order(
    kafka: Kafka, http: HttpClient, ids: IdFactory
):
    user, (sku, _) = ids.user(), ids.product()
    await receive(http, sku, 9)
    await http.do("addToCart", user=user, sku=sku, count=9)
    for n in range(PARTITIONS):
        calls = [
            as_record("deleteFromCart", {"user": user, "sku": sku, "count": 1}),
            as_record("listCart", {"user": user}),
        ]
        waiting = [
            asyncio.create_task(kafka.ask(replace(one, partition=n))) for one in calls
        ]
        *_, seen = await asyncio.gather(*waiting)
        [item] = json.loads(seen.value)["items"]
        assert item["count"] == 8 - n


async def test_unmodified_kcat_is_served(kafka: Kafka, http: HttpClient, ids: IdFactory):
    user, sku = ids.user(), await received(http, ids, 3)
    for n in range(12):
        body = {"sku": sku, "warehouseID": n, "count": n + 1}
        await _kcat(kafka, as_record("receiveStock", body, ids.key()))
    assert sum((await stocks(http, sku)).values()) == 3 + 78
    await _kcat(kafka, as_record("addToCart", {"user": user, "sku": sku, "count": 80}))
    made = (await http.do("purchase", user=user))["orderID"]
    await _kcat(kafka, as_record("orderPayed", {"orderID": made}))
    assert await status(http, made) == "paid"
    assert sum((await stocks(http, sku)).values()) == 1
    last = await order(http, user, {sku: 1})
    await _kcat(kafka, as_record("cancelOrder", {"orderID": last}))
    assert await status(http, last) == "cancelled"


async def _kcat(kafka: Kafka, sent: Record) -> None:
    """Send with kcat, or in the same way if it is not installed; await the answer."""
    correlation_id = kafka.correlation_id()
    request = sent.with_headers(
        (CORRELATION_ID, correlation_id), (REPLY_TOPIC, kafka.replies.encode())
    )
    if shutil.which("kcat"):
        await _by_kcat(kafka, request)
    else:
        await kafka.send(_crc32(request))
    header = (CORRELATION_ID, correlation_id)
    [reply] = await kafka.find(kafka.replies, lambda record: header in record.headers)
    assert reply.value == b'{"type":"done"}'


async def _by_kcat(kafka: Kafka, sent: Record) -> None:
    words = ["kcat", "-P", "-b", kafka.bootstrap, "-t", sent.topic, "-k", sent.key.decode()]
    for name, value in sent.headers:
        words += ["-H", f"{name}={value.decode()}"]
    kcat = await asyncio.create_subprocess_exec(*words, stdin=asyncio.subprocess.PIPE)
    await kcat.communicate(sent.value)
    assert kcat.returncode == 0
