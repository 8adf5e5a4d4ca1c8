"""Where records come in: strangers go to their owners, poison to the dead letters."""

import json

import pytest

from agents.loms.service import STOCK_AGGREGATE
from schemas.stock import ListStocks, ReceiveStock
from tests.component.bench import PARTITIONS, Bench, Serving, header, record

REQUESTS, REPLIES, DEAD = "stock.requests", "stock.replies", "stock.dlq"
RECEIVE = ReceiveStock(sku=1, warehouse_id=1, count=5)
OWNER = record(RECEIVE).partition
STRANGER = (OWNER + 1) % PARTITIONS


@pytest.fixture
async def goods(bench: Bench) -> Serving:
    return await bench.serve(STOCK_AGGREGATE)


def available(goods: Serving) -> dict[str, int]:
    row = goods.store.get(OWNER, b"1")
    return json.loads(row)["available"] if row else {}


def types(records: list) -> list[str]:
    return [json.loads(each.value)["type"] for each in records]


async def test_a_misrouted_record_is_forwarded_and_changes_nothing_here(
    bench: Bench, goods: Serving
):
    sent = record(RECEIVE, key=b"none", partition=STRANGER, headers=[("mine", b"1")])
    await goods.read(sent)
    await bench.all_arrives()
    [passed_on] = bench.sent(REQUESTS)
    assert (passed_on.key, passed_on.value) == (b"1", sent.value)
    assert header(passed_on, "mine") == "1"
    assert header(passed_on, "origin") == f"{REQUESTS}-{STRANGER}-0"
    assert goods.store.get(STRANGER, b"1") is None
    assert not bench.sent(REPLIES)


async def test_a_record_that_is_forwarded_twice_counts_once(bench: Bench, goods: Serving):
    batch = await goods.read(record(RECEIVE, partition=STRANGER))
    await bench.all_arrives()
    await goods.again(batch)
    await bench.all_arrives()
    for passed_on in bench.sent(REQUESTS):
        await goods.read(record(RECEIVE, headers=passed_on.headers))
    await bench.all_arrives()
    assert available(goods) == {"1": 5}
    assert types(bench.sent(REPLIES)) == ["done", "done"]


@pytest.mark.parametrize("origin", [b"17", b"-5", b"web", b"\xff-1-2", b"a-1"])
async def test_an_invalid_origin_is_ignored(bench: Bench, goods: Serving, origin: bytes):
    headers = [("origin", origin)]
    await goods.read(*(record(RECEIVE, headers=headers) for _ in range(2)))
    await bench.all_arrives()
    assert available(goods) == {"1": 10}
    assert goods.store.get(OWNER, b"1/17") is None


async def test_requests_with_the_same_key_have_one_effect(bench: Bench, goods: Serving):
    headers = [("idempotency-key", b"mine")]
    await goods.read(*(record(RECEIVE, headers=headers) for _ in range(3)))
    await bench.all_arrives()
    assert available(goods) == {"1": 5}
    assert types(bench.sent(REPLIES)) == ["done"] * 3


async def test_two_different_idempotency_keys_are_refused(bench: Bench, goods: Serving):
    headers = [("idempotency-key", b"a"), ("idempotency-key", b"b")]
    await goods.read(record(RECEIVE, headers=[("kafka_replyTopic", b"stock.replies")]))
    await goods.read(record(RECEIVE, headers=headers))
    await bench.all_arrives()
    [dead] = bench.sent(DEAD)
    assert header(dead, "dlq.reason") == (
        "idempotency-key: given twice, with different values"
    )
    assert available(goods) == {"1": 5}


async def test_a_repeated_idempotency_key_is_one_and_of_reply_headers_the_last_counts(
    bench: Bench, goods: Serving
):
    headers = [("idempotency-key", b"a"), ("idempotency-key", b"a")]
    for name, first, last in (
        ("kafka_replyTopic", b"other.replies", REPLIES.encode()),
        ("kafka_correlationId", b"1", b"2"),
    ):
        headers += [(name, first), (name, last)]
    await goods.read(*(record(RECEIVE, headers=headers) for _ in range(2)))
    await bench.all_arrives()
    assert available(goods) == {"1": 5}
    assert types(bench.sent(REPLIES)) == ["done", "done"]
    assert {header(r, "kafka_correlationId") for r in bench.sent(REPLIES)} == {"2"}


async def test_a_duplicate_field_makes_a_record_invalid_and_is_named(
    bench: Bench, goods: Serving
):
    value = b'{"type":"receiveStock","sku":1,"warehouseID":1,"count":5,"count":50}'
    headers = [("kafka_replyTopic", REPLIES.encode())]
    await goods.read(record(value, partition=OWNER, headers=headers))
    await bench.all_arrives()
    [reply] = bench.sent(REPLIES)
    assert json.loads(reply.value) == {
        "type": "refused",
        "code": "bad-request",
        "text": "count is given more than once",
    }
    [dead] = bench.sent(DEAD)
    assert header(dead, "dlq.reason") == "count is given more than once"
    assert available(goods) == {}


async def test_an_invalid_record_is_kept_byte_for_byte_and_the_next_one_is_processed(
    bench: Bench, goods: Serving, deaths: list[str]
):
    poison = record(b"\xff\x00", key=b"\x01", partition=OWNER, headers=[("a", b"\xfe")])
    batch = await goods.read(poison, record(RECEIVE))
    await bench.all_arrives()
    [dead] = bench.sent(DEAD)
    assert (dead.key, dead.value) == (b"\x01", b"\xff\x00")
    assert ("a", b"\xfe") in dead.headers
    assert "JSON" in header(dead, "dlq.reason")
    place = [header(dead, f"dlq.{name}") for name in ("topic", "partition", "offset")]
    assert place == [REQUESTS, str(OWNER), "0"]
    assert available(goods) == {"1": 5}
    assert batch.settled
    assert not deaths


async def test_a_caller_of_an_invalid_record_is_refused(bench: Bench, goods: Serving):
    headers = [("kafka_replyTopic", REPLIES.encode()), ("kafka_correlationId", b"\x00\xff")]
    await goods.read(record(b"poison", partition=OWNER, headers=headers))
    await bench.all_arrives()
    [reply] = bench.sent(REPLIES)
    assert json.loads(reply.value)["code"] == "bad-request"
    assert ("kafka_correlationId", b"\x00\xff") in reply.headers


@pytest.mark.parametrize(
    ("correlation_id", "more"),
    [(b"c" * 5000, []), (b"c", [("x", b"x" * 70_000)]), (b"c", [("x", b"")] * 70_000)],
)
async def test_a_caller_of_too_many_headers_is_refused(
    bench: Bench, goods: Serving, correlation_id: bytes, more: list[tuple[str, bytes]]
):
    mine = ("kafka_correlationId", correlation_id)
    headers = [("kafka_replyTopic", REPLIES.encode()), mine, *more]
    await goods.read(record(RECEIVE, headers=headers))
    await bench.all_arrives()
    [reply] = bench.sent(REPLIES)
    assert json.loads(reply.value)["code"] == "bad-request"
    assert mine in reply.headers
    assert len(bench.sent(DEAD)) == 1
    assert available(goods) == {}


async def test_a_trace_that_is_too_long_is_dropped_and_the_request_processed(
    bench: Bench, goods: Serving
):
    headers = [("traceparent", b"t" * 5000), ("kafka_correlationId", b"c")]
    await goods.read(record(RECEIVE, headers=headers))
    await bench.all_arrives()
    [reply] = bench.sent(REPLIES)
    assert list(reply.headers) == [("kafka_correlationId", b"c")]
    assert available(goods) == {"1": 5}


@pytest.mark.parametrize("topic", [REQUESTS, "loms-stock-changelog", "x.repliesx", "\xff"])
async def test_an_invalid_reply_topic_is_never_written_to(
    bench: Bench, goods: Serving, topic: str
):
    headers = [("kafka_replyTopic", topic.encode())]
    await goods.read(record(RECEIVE, headers=headers))
    await bench.all_arrives()
    assert available(goods) == {}
    assert types(bench.sent(REPLIES)) == ["refused"]
    assert bench.logs.keys() == {REPLIES}


async def test_an_invalid_record_with_an_invalid_reply_topic_is_a_dead_letter(
    bench: Bench, goods: Serving
):
    headers = [("kafka_replyTopic", b"cart.requests")]
    await goods.read(record(b"poison", partition=OWNER, headers=headers))
    await bench.all_arrives()
    [dead] = bench.sent(DEAD)
    assert dead.value == b"poison"
    assert types(bench.sent(REPLIES)) == ["refused"]
    assert bench.logs.keys() == {DEAD, REPLIES}


async def test_a_reply_has_the_callers_correlation_id(bench: Bench, goods: Serving):
    headers = [
        ("kafka_replyTopic", b"gateway.replies"),
        ("kafka_replyPartition", b"\x00\x00\x00\x01"),
        ("kafka_correlationId", b"\x00\xff"),
    ]
    await goods.read(record(ListStocks(sku=1), headers=headers))
    await bench.arrive()
    [reply] = bench.sent("gateway.replies")
    assert list(reply.headers) == [("kafka_correlationId", b"\x00\xff")]
    assert [tp.partition for tp in bench.ends] == [1]
