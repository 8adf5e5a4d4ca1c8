"""Invalid records: each is a dead letter byte for byte, and the next one is served."""

import json
import time
from dataclasses import replace

import pytest
from aiokafka import ConsumerRecord

from tests.e2e.clients import HttpClient, answer_of, as_record
from tests.e2e.ids import IdFactory
from tests.e2e.kafka import Kafka
from tests.e2e.records import CORRELATION_ID, REPLY_TOPIC, Header, Record
from tests.e2e.steps import receive, received, stocks

AT_ONCE_SECONDS = 2.0

VALUES: dict[str, bytes | None] = {
    "no value": None,
    "an empty value": b"",
    "no JSON": b"hello",
    "half of JSON": b'{"type": "stocks", "sku": 1',
    "not UTF-8": b'{"type": "stocks\xff"}',
    "UTF-16": json.dumps({"type": "listCart", "user": 1}).encode("utf-16"),
    "with a BOM": b'\xef\xbb\xbf{"type": "listCart", "user": 1}',
    "NULs": bytes(1000),
    "a number": b"17",
    "null": b"null",
    "a list": b'[{"type": "stocks", "sku": 1}]',
    "a field twice": b'{"type": "listCart", "user": 1, "user": 2}',
    "a type twice": b'{"type": "listCart", "user": 1, "type": "listCart"}',
    "a field twice, once escaped": rb'{"type": "listCart", "user": 1, "\u0075ser": 1}',
    "no type": b'{"user": 1, "sku": 1}',
    "a type of nobody's": b'{"type": "drop table", "user": 1}',
    "a type that is a number": b'{"type": 5, "user": 1}',
    "a reply": b'{"type": "done"}',
    "a fact": b'{"type": "orderStatusChanged", "orderID": 1, "user": 1}',
    "nested deep": b'{"type": "listCart", "user": ' + b"[" * 50_000,
    "nested deep and closed": b'{"type": "listCart", "user": %s}'
    % (b"[" * 9_000 + b"]" * 9_000),
    "a huge number": b'{"type": "listCart", "user": %s}' % (b"9" * 100_000),
    "a huge exponent": b'{"type": "listCart", "user": 1e999999999}',
    "infinity": b'{"type": "listCart", "user": Infinity}',
    "300 KB of spaces": b" " * 300_000,
    "300 KB of spaces around a request": b'{"type": "listCart",%s"user": 1}'
    % (b" " * 300_000),
    "a megabyte": b"x" * 1_040_000,
    "a lone surrogate": rb'{"type": "\ud800", "user": 1}',
    "many wrong fields": json.dumps(
        {"type": "listCart"} | dict.fromkeys(map(str, range(9000)))
    ).encode(),
}
HEADERS: dict[str, tuple[Header, ...]] = {
    "a key of letters that are not ASCII": (("idempotency-key", "ключ".encode()),),
    "a key that is not UTF-8": (("idempotency-key", b"\xff\xfe"),),
    "a key of 129 characters": (("idempotency-key", b"k" * 129),),
    "an empty key": (("idempotency-key", b""),),
    "a key with a space": (("idempotency-key", b"a b"),),
    "a key with a line end": (("idempotency-key", b"a\r\n"),),
    "100 KB of headers": (("x-much", b"x" * 100_000),),
    "two different keys": (("idempotency-key", b"a"), ("idempotency-key", b"b")),
    "a bad reply partition": (("kafka_replyPartition", b"one"),),
}
HARMLESS: dict[str, tuple[Header, ...]] = {
    "null values": (("x-null", None), ("traceparent", None), ("idempotency-key", None)),
    "values that are not UTF-8": (("x", b"\xff\x00"), ("traceparent", b"\xff\xfe")),
    "an empty name": (("", b"x"),),
    "the same name twice": (("x", b"1"), ("x", b"2")),
    "the same key twice": (("idempotency-key", b"a"), ("idempotency-key", b"a")),
    "a name that is not ASCII": (("имя", b"1"),),
    "a thousand headers": tuple((f"x-{n}", b"1") for n in range(1000)),
    "a null reply partition": (("kafka_replyPartition", None),),
}
TOPICS = {"cart.requests": "cart.dlq", "order.requests": "order.dlq"} | {
    "stock.requests": "stock.dlq"
}


def _owner(ids: IdFactory, topic: str) -> Record:
    """Return a request of a topic that has an answer and no effect."""
    match topic:
        case "cart.requests":
            return as_record("listCart", {"user": ids.user()})
        case "order.requests":
            items = [{"sku": ids.sku(), "count": 1}]
            return as_record("createOrder", {"user": ids.user(), "items": items})
        case _:
            return as_record("stocks", {"sku": ids.sku()})


async def _dead_letter(kafka: Kafka, topic: str, sent: Record, at) -> ConsumerRecord:
    """Return the dead letter of a record, after a check of all its parts."""
    offset = ("dlq.offset", str(at.offset).encode())
    partition = ("dlq.partition", str(at.partition).encode())
    [dead] = await kafka.find(
        TOPICS[topic], lambda r: offset in r.headers and partition in r.headers
    )
    assert (dead.key, dead.value) == (sent.key, sent.value)
    assert dead.headers[: len(sent.headers)] == sent.headers
    why = dict(dead.headers[len(sent.headers) :])
    assert why.keys() == {"dlq.reason", "dlq.topic", "dlq.partition", "dlq.offset"}
    assert why["dlq.topic"] == topic.encode()
    assert 0 < len(why["dlq.reason"]) < 1000
    return dead


async def _next_one_is_served(kafka: Kafka, proper: Record, partition: int) -> None:
    began = time.monotonic()
    reply = await kafka.ask(replace(proper, partition=partition))
    assert answer_of(reply.value).code is None
    assert time.monotonic() - began < AT_ONCE_SECONDS


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
async def test_an_invalid_value_is_a_dead_letter_and_the_next_record_is_served(
    kafka: Kafka, ids: IdFactory, topic: str, value: bytes | None
):
    if topic != "cart.requests" and value and b"listCart" in value:
        value = value.replace(b"listCart", b"addToCart")
    proper = _owner(ids, topic)
    sent = replace(proper, value=value, headers=(("x", b"\xff"), ("y", None)))
    at = await kafka.send(sent)
    await _next_one_is_served(kafka, proper, at.partition)
    await _dead_letter(kafka, topic, sent, at)


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS.keys())
async def test_invalid_headers_are_a_dead_letter_too(
    kafka: Kafka, ids: IdFactory, topic: str, headers: tuple[Header, ...]
):
    proper = _owner(ids, topic)
    sent = replace(proper, headers=headers)
    at = await kafka.send(sent)
    await _next_one_is_served(kafka, proper, at.partition)
    await _dead_letter(kafka, topic, sent, at)


@pytest.mark.parametrize("headers", HARMLESS.values(), ids=HARMLESS.keys())
async def test_foreign_headers_do_no_harm(
    kafka: Kafka, http: HttpClient, ids: IdFactory, headers: tuple[Header, ...]
):
    sku = await received(http, ids, 2)
    sent = replace(as_record("stocks", {"sku": sku}), headers=headers)
    for partition in (None, 0, 1):  # in its own partition, and in those that forward it
        reply = await kafka.ask(replace(sent, partition=partition))
        assert json.loads(reply.value)["stocks"] == [{"warehouseID": 1, "count": 2}]


async def test_an_invalid_record_with_a_reply_topic_is_refused_as_a_bad_request(
    kafka: Kafka, ids: IdFactory
):
    for topic in TOPICS:
        for value in (b"", b"hello", b"{}"):
            sent = replace(_owner(ids, topic), value=value)
            answer = answer_of((await kafka.ask(sent)).value)
            assert answer.code == "bad-request"
            assert answer.text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            b'{"sku":1}',
            (
                "type is missing; it must be one of stocks, receiveStock, checkStock,"
                " reserve, release, sell"
            ),
        ),
        (
            b'{"type":"receiveStock","sku":1,"warehouseID":1,"count":1,"count":50}',
            "count is given more than once",
        ),
        (
            b'\xef\xbb\xbf{"type":"stocks","sku":1}',
            (
                "value is not JSON: it begins with a byte order mark (EF BB BF),"
                " which must be left out"
            ),
        ),
    ],
    ids=["no type", "a field twice", "a byte order mark"],
)
async def test_the_refusal_and_the_dead_letter_have_the_reason(
    kafka: Kafka, ids: IdFactory, value: bytes, text: str
):
    mark = ("mark", ids.key().encode())
    sent = replace(as_record("stocks", {"sku": 1}), value=value, headers=(mark,))
    answer = answer_of((await kafka.ask(sent)).value)
    assert (answer.code, answer.text) == ("bad-request", text)
    [dead] = await kafka.find("stock.dlq", lambda r: mark in r.headers)
    assert ("dlq.reason", text.encode()) in dead.headers


async def test_an_invalid_record_with_an_invalid_reply_topic_blocks_no_other(
    kafka: Kafka, http: HttpClient, ids: IdFactory
):
    for topic in TOPICS:
        proper, correlation_id = _owner(ids, topic), kafka.correlation_id()
        sent = replace(proper, value=b"\xff").with_headers(
            (CORRELATION_ID, correlation_id), (REPLY_TOPIC, b"cart.requests")
        )
        at = await kafka.send(sent)
        await _next_one_is_served(kafka, proper, at.partition)


async def test_an_invalid_record_under_the_owners_key_changes_no_row(
    kafka: Kafka, http: HttpClient, ids: IdFactory
):
    sku = ids.sku()
    await receive(http, sku, 4)
    proper = as_record("receiveStock", {"sku": sku, "warehouseID": 1, "count": 1})
    for value in VALUES.values():
        await kafka.send(replace(proper, value=value))
    await kafka.ask(proper)
    assert await stocks(http, sku) == {1: 5}


async def test_invalid_order_events_are_dead_letters_of_notifications(
    kafka: Kafka, ids: IdFactory
):
    for value in (b"", None, b"hello", b'{"type": "stocks", "sku": 1}'):
        mark = ("mark", ids.key().encode())
        await kafka.send(Record("order.events", value, b"1", (mark,)))
        [dead] = await kafka.find("notifications.dlq", lambda r, m=mark: m in r.headers)
        assert dead.value == value
