"""The router: misrouted records go to their owners, invalid ones to the dead letters."""

import json

import pytest

from agents.loms.service import STOCK_AGGREGATE
from schemas.stock import ListStocks, ReceiveStock
from tests.component.worker_harness import (
    PARTITIONS,
    Serving,
    WorkerHarness,
    header,
    record,
)

REQUESTS, REPLIES, DEAD = "stock.requests", "stock.replies", "stock.dlq"
RECEIVE = ReceiveStock(sku=1, warehouse_id=1, count=5)
OWNER = record(RECEIVE).partition
MISROUTED = (OWNER + 1) % PARTITIONS


@pytest.fixture
async def stock(harness: WorkerHarness) -> Serving:
    return await harness.serve(STOCK_AGGREGATE)


def available(stock: Serving) -> dict[str, int]:
    row = stock.store.get(OWNER, b"1")
    return json.loads(row)["available"] if row else {}


def types(records: list) -> list[str]:
    return [json.loads(each.value)["type"] for each in records]


async def test_a_misrouted_record_is_forwarded_and_changes_nothing_here(
    harness: WorkerHarness, stock: Serving
):
    sent = record(RECEIVE, key=b"none", partition=MISROUTED, headers=[("mine", b"1")])
    await stock.read(sent)
    await harness.all_arrives()
    [forwarded] = harness.sent(REQUESTS)
    assert (forwarded.key, forwarded.value) == (b"1", sent.value)
    assert header(forwarded, "mine") == "1"
    assert header(forwarded, "origin") == f"{REQUESTS}-{MISROUTED}-0"
    assert stock.store.get(MISROUTED, b"1") is None
    assert not harness.sent(REPLIES)


async def test_a_record_that_is_forwarded_twice_counts_once(
    harness: WorkerHarness, stock: Serving
):
    batch = await stock.read(record(RECEIVE, partition=MISROUTED))
    await harness.all_arrives()
    await stock.again(batch)
    await harness.all_arrives()
    for forwarded in harness.sent(REQUESTS):
        await stock.read(record(RECEIVE, headers=forwarded.headers))
    await harness.all_arrives()
    assert available(stock) == {"1": 5}
    assert types(harness.sent(REPLIES)) == ["done", "done"]


@pytest.mark.parametrize("origin", [b"17", b"-5", b"web", b"\xff-1-2", b"a-1"])
async def test_an_invalid_origin_is_ignored(
    harness: WorkerHarness, stock: Serving, origin: bytes
):
    headers = [("origin", origin)]
    await stock.read(*(record(RECEIVE, headers=headers) for _ in range(2)))
    await harness.all_arrives()
    assert available(stock) == {"1": 10}
    assert stock.store.get(OWNER, b"1/17") is None


async def test_requests_with_the_same_key_have_one_effect(
    harness: WorkerHarness, stock: Serving
):
    headers = [("idempotency-key", b"mine")]
    await stock.read(*(record(RECEIVE, headers=headers) for _ in range(3)))
    await harness.all_arrives()
    assert available(stock) == {"1": 5}
    assert types(harness.sent(REPLIES)) == ["done"] * 3


async def test_two_different_idempotency_keys_are_refused(
    harness: WorkerHarness, stock: Serving
):
    headers = [("idempotency-key", b"a"), ("idempotency-key", b"b")]
    await stock.read(record(RECEIVE, headers=[("kafka_replyTopic", b"stock.replies")]))
    await stock.read(record(RECEIVE, headers=headers))
    await harness.all_arrives()
    [dead] = harness.sent(DEAD)
    assert header(dead, "dlq.reason") == (
        "idempotency-key: given twice, with different values"
    )
    assert available(stock) == {"1": 5}


async def test_a_repeated_idempotency_key_is_one_and_of_reply_headers_the_last_counts(
    harness: WorkerHarness, stock: Serving
):
    headers = [("idempotency-key", b"a"), ("idempotency-key", b"a")]
    for name, first, last in (
        ("kafka_replyTopic", b"other.replies", REPLIES.encode()),
        ("kafka_correlationId", b"1", b"2"),
    ):
        headers += [(name, first), (name, last)]
    await stock.read(*(record(RECEIVE, headers=headers) for _ in range(2)))
    await harness.all_arrives()
    assert available(stock) == {"1": 5}
    assert types(harness.sent(REPLIES)) == ["done", "done"]
    assert {header(r, "kafka_correlationId") for r in harness.sent(REPLIES)} == {"2"}


async def test_a_duplicate_field_makes_a_record_invalid_and_is_named(
    harness: WorkerHarness, stock: Serving
):
    value = b'{"type":"receiveStock","sku":1,"warehouseID":1,"count":5,"count":50}'
    headers = [("kafka_replyTopic", REPLIES.encode())]
    await stock.read(record(value, partition=OWNER, headers=headers))
    await harness.all_arrives()
    [reply] = harness.sent(REPLIES)
    assert json.loads(reply.value) == {
        "type": "refused",
        "code": "bad-request",
        "text": "count is given more than once",
    }
    [dead] = harness.sent(DEAD)
    assert header(dead, "dlq.reason") == "count is given more than once"
    assert available(stock) == {}


async def test_an_invalid_record_is_kept_byte_for_byte_and_the_next_one_is_processed(
    harness: WorkerHarness, stock: Serving, deaths: list[str]
):
    invalid = record(b"\xff\x00", key=b"\x01", partition=OWNER, headers=[("a", b"\xfe")])
    batch = await stock.read(invalid, record(RECEIVE))
    await harness.all_arrives()
    [dead] = harness.sent(DEAD)
    assert (dead.key, dead.value) == (b"\x01", b"\xff\x00")
    assert ("a", b"\xfe") in dead.headers
    assert "JSON" in header(dead, "dlq.reason")
    place = [header(dead, f"dlq.{name}") for name in ("topic", "partition", "offset")]
    assert place == [REQUESTS, str(OWNER), "0"]
    assert available(stock) == {"1": 5}
    assert batch.settled
    assert not deaths


async def test_a_caller_of_an_invalid_record_is_refused(
    harness: WorkerHarness, stock: Serving
):
    headers = [("kafka_replyTopic", REPLIES.encode()), ("kafka_correlationId", b"\x00\xff")]
    await stock.read(record(b"invalid", partition=OWNER, headers=headers))
    await harness.all_arrives()
    [reply] = harness.sent(REPLIES)
    assert json.loads(reply.value)["code"] == "bad-request"
    assert ("kafka_correlationId", b"\x00\xff") in reply.headers


@pytest.mark.parametrize(
    ("correlation_id", "more"),
    [(b"c" * 5000, []), (b"c", [("x", b"x" * 70_000)]), (b"c", [("x", b"")] * 70_000)],
)
async def test_a_caller_of_too_many_headers_is_refused(
    harness: WorkerHarness,
    stock: Serving,
    correlation_id: bytes,
    more: list[tuple[str, bytes]],
):
    mine = ("kafka_correlationId", correlation_id)
    headers = [("kafka_replyTopic", REPLIES.encode()), mine, *more]
    await stock.read(record(RECEIVE, headers=headers))
    await harness.all_arrives()
    [reply] = harness.sent(REPLIES)
    assert json.loads(reply.value)["code"] == "bad-request"
    assert mine in reply.headers
    assert len(harness.sent(DEAD)) == 1
    assert available(stock) == {}


async def test_a_trace_that_is_too_long_is_dropped_and_the_request_processed(
    harness: WorkerHarness, stock: Serving
):
    headers = [("traceparent", b"t" * 5000), ("kafka_correlationId", b"c")]
    await stock.read(record(RECEIVE, headers=headers))
    await harness.all_arrives()
    [reply] = harness.sent(REPLIES)
    assert list(reply.headers) == [("kafka_correlationId", b"c")]
    assert available(stock) == {"1": 5}


@pytest.mark.parametrize("topic", [REQUESTS, "loms-stock-changelog", "x.repliesx", "\xff"])
async def test_an_invalid_reply_topic_is_never_written_to(
    harness: WorkerHarness, stock: Serving, topic: str
):
    headers = [("kafka_replyTopic", topic.encode())]
    await stock.read(record(RECEIVE, headers=headers))
    await harness.all_arrives()
    assert available(stock) == {}
    assert types(harness.sent(REPLIES)) == ["refused"]
    assert harness.logs.keys() == {REPLIES}


async def test_an_invalid_record_with_an_invalid_reply_topic_is_a_dead_letter(
    harness: WorkerHarness, stock: Serving
):
    headers = [("kafka_replyTopic", b"cart.requests")]
    await stock.read(record(b"invalid", partition=OWNER, headers=headers))
    await harness.all_arrives()
    [dead] = harness.sent(DEAD)
    assert dead.value == b"invalid"
    assert types(harness.sent(REPLIES)) == ["refused"]
    assert harness.logs.keys() == {DEAD, REPLIES}


async def test_a_reply_has_the_callers_correlation_id(
    harness: WorkerHarness, stock: Serving
):
    headers = [
        ("kafka_replyTopic", b"gateway.replies"),
        ("kafka_replyPartition", b"\x00\x00\x00\x01"),
        ("kafka_correlationId", b"\x00\xff"),
    ]
    await stock.read(record(ListStocks(sku=1), headers=headers))
    await harness.arrive()
    [reply] = harness.sent("gateway.replies")
    assert list(reply.headers) == [("kafka_correlationId", b"\x00\xff")]
    assert [tp.partition for tp in harness.ends] == [1]
