"""The topics, partitions and keys of replies over Kafka."""

import asyncio
import json
import time

import pytest
from aiokafka import ConsumerRecord

from tests.e2e.clients import KafkaClient, answer_of, as_record
from tests.e2e.ids import IdFactory
from tests.e2e.kafka import Kafka
from tests.e2e.records import CORRELATION_ID, REPLY_PARTITION, REPLY_TOPIC, Record, int32
from tests.e2e.shop import Shop
from tests.e2e.steps import cart, receive, received, stocks
from tests.e2e.waiting import until

AT_ONCE_SECONDS = 1.5

IDS = {
    "not UTF-8": b"\xff\xfe\x80",
    "of zero bytes": b"",
    "a NUL": b"\x00",
    "of a kilobyte": bytes(range(256)) * 4,
    "a UUID in bytes": bytes.fromhex("00112233445566778899aabbccddeeff"),
    "JSON": b'{"type":"done"}',
}

NO_REPLY_TOPICS = [
    *(b"cart.requests", b"stock.requests", b"order.events", b"loms-stock-changelog"),
    *(b"cart.dlq", b"replies", b".replies", b".reply", b"gateway-replies", b" "),
    *(b"a b.replies", b"a/b.replies", b"\xff.replies", b"a\x00.replies", b"e2e.replies\n"),
    *("ж.replies".encode(), b"x" * 242 + b".replies", b"..replies/../cart.requests"),
    *(b"__consumer_offsets", b"e2e.replies.x"),
]


def _of(correlation_id: bytes):
    return lambda record: (CORRELATION_ID, correlation_id) in record.headers


async def _reply(kafka: Kafka, topic: str, correlation_id: bytes) -> ConsumerRecord:
    [reply] = await kafka.find(topic, _of(correlation_id))
    return reply


def _calls(ids: IdFactory) -> list[tuple[str, Record, bytes]]:
    """Return a request for each aggregate, where its reply goes by default, and its key."""
    user, sku = ids.user(), ids.sku()
    order = {"user": user, "items": [{"sku": sku, "count": 1}]}
    shard = str(user % 4096).encode()
    return [
        ("cart.replies", as_record("listCart", {"user": user}), str(user).encode()),
        ("order.replies", as_record("createOrder", order), shard),
        ("stock.replies", as_record("stocks", {"sku": sku}), str(sku).encode()),
    ]


@pytest.mark.parametrize("correlation_id", IDS.values(), ids=IDS.keys())
async def test_a_correlation_id_of_any_bytes_is_returned_unchanged(
    kafka: Kafka, ids: IdFactory, correlation_id: bytes
):
    user, sku = ids.user(), ids.sku()
    for call, body in (
        ("stocks", {"sku": sku}),
        ("addToCart", {"user": user, "sku": sku, "count": 1}),
        ("purchase", {"user": user}),
        ("createOrder", {"user": user, "items": [{"sku": sku, "count": 1}]}),
        ("stocks", {"sku": -1}),
    ):
        reply = await kafka.ask(as_record(call, body), correlation_id)
        assert (CORRELATION_ID, correlation_id) in reply.headers


async def test_without_a_reply_topic_the_default_is_used(kafka: Kafka, ids: IdFactory):
    for topic, sent, key in _calls(ids):
        correlation_id = kafka.correlation_id()
        await kafka.send(sent.with_headers((CORRELATION_ID, correlation_id)))
        assert (await _reply(kafka, topic, correlation_id)).key == key


async def test_without_a_reply_topic_the_default_is_used_for_a_priced_cart(
    kafka: Kafka, topics: KafkaClient, ids: IdFactory
):
    user, (sku, product) = ids.user(), ids.product()
    await receive(topics, sku, 1)
    await topics.do("addToCart", user=user, sku=sku, count=1)
    correlation_id = kafka.correlation_id()
    sent = as_record("listCart", {"user": user})
    await kafka.send(sent.with_headers((CORRELATION_ID, correlation_id)))
    reply = await _reply(kafka, "cart.replies", correlation_id)
    assert reply.key == str(user).encode()
    assert json.loads(reply.value)["items"][0]["name"] == product.name


async def test_a_request_without_any_header_is_processed_and_gets_a_reply(
    kafka: Kafka, topics: KafkaClient, ids: IdFactory
):
    sku = ids.sku()
    await kafka.send(as_record("receiveStock", {"sku": sku, "warehouseID": 1, "count": 2}))
    [reply] = await kafka.find("stock.replies", lambda r: r.key == str(sku).encode())
    assert reply.value == b'{"type":"done"}'
    assert await stocks(topics, sku) == {1: 2}


@pytest.mark.parametrize("name", NO_REPLY_TOPICS)
async def test_a_request_with_an_invalid_reply_topic_is_refused_and_not_processed(
    kafka: Kafka, topics: KafkaClient, ids: IdFactory, name: bytes
):
    sku = ids.sku()
    correlation_id = kafka.correlation_id()
    sent = as_record("receiveStock", {"sku": sku, "warehouseID": 1, "count": 2})
    address = (CORRELATION_ID, correlation_id), (REPLY_TOPIC, name)
    await kafka.send(sent.with_headers(*address))
    reply = await _reply(kafka, "stock.replies", correlation_id)
    assert answer_of(reply.value).code == "bad-request"
    assert reply.key == sent.key
    assert await stocks(topics, sku) == {}
    await kafka.drain()
    with_id = {t for t, found in kafka.seen.items() if any(map(_of(correlation_id), found))}
    assert with_id <= {"stock.requests", "stock.replies"}


async def test_a_missing_reply_topic_delays_no_other_reply(
    kafka: Kafka, topics: KafkaClient, ids: IdFactory
):
    sku = ids.sku()
    for n in range(20):
        sent = as_record("receiveStock", {"sku": sku, "warehouseID": 1, "count": 1})
        missing = (REPLY_TOPIC, f"missing-{n % 7}.replies".encode())
        await kafka.send(sent.with_headers(missing))
        began = time.monotonic()
        assert await stocks(topics, sku) == {1: n + 1}
        assert time.monotonic() - began < AT_ONCE_SECONDS


async def test_missing_reply_topics_do_not_fill_the_log(
    kafka: Kafka, topics: KafkaClient, ids: IdFactory, shop: Shop
):
    logs, sku = [shop[name].log for name in ("loms-1", "loms-2")], ids.sku()

    def dropped() -> int:
        return sum(log.read_text().count("event=replies-dropped") for log in logs)

    before, sent = dropped(), as_record("stocks", {"sku": sku})
    for n in range(50):
        missing = (REPLY_TOPIC, f"missing-{n}.replies".encode())
        await kafka.send(sent.with_headers(missing))
    for _ in range(10):
        assert await stocks(topics, sku) == {}
    assert dropped() <= before + 4


async def test_a_reply_topic_that_is_created_later_gets_the_later_replies(
    kafka: Kafka, topics: KafkaClient, ids: IdFactory
):
    sku, late = await received(topics, ids, 5), "late.replies"
    sent = as_record("stocks", {"sku": sku}).with_headers((REPLY_TOPIC, late.encode()))
    await kafka.send(sent)
    assert await stocks(topics, sku) == {1: 5}
    await kafka.create(late)
    async with kafka.reading(late) as records, asyncio.timeout(20):
        while not records:
            await kafka.send(sent)
            await stocks(topics, sku)
    assert json.loads(records[0].value)["stocks"] == [{"warehouseID": 1, "count": 5}]


@pytest.mark.parametrize(
    ("header", "number"),
    [(int32(0), 0), (int32(1), 1), (b"0", 0), (b"1", 1), (b"0001", 1)],
)
async def test_a_reply_goes_to_its_partition(kafka: Kafka, ids: IdFactory, header, number):
    for _, sent, _ in _calls(ids):
        reply = await kafka.ask(sent.with_headers((REPLY_PARTITION, header)))
        assert reply.partition == number


async def test_a_purchase_replies_to_a_decimal_reply_partition(
    kafka: Kafka, topics: KafkaClient, ids: IdFactory
):
    user, sku = ids.user(), await received(topics, ids, 5)
    await topics.do("addToCart", user=user, sku=sku, count=1)
    sent = as_record("purchase", {"user": user}).with_headers((REPLY_PARTITION, b"1"))
    reply = await kafka.ask(sent)
    assert (json.loads(reply.value)["type"], reply.partition) == ("orderPlaced", 1)
    assert ("kafka_nest-is-disposed", b"\0") in reply.headers


async def test_a_reply_topic_may_be_named_as_nest_names_it(kafka: Kafka, ids: IdFactory):
    await kafka.create("stock.requests.reply")
    async with kafka.reading("stock.requests.reply") as records:
        sent = as_record("stocks", {"sku": ids.sku()})
        await kafka.send(sent.with_headers((REPLY_TOPIC, b"stock.requests.reply")))
        await until(lambda: records, "the reply")
    assert json.loads(records[0].value) == {"type": "stocks", "stocks": []}


MISSING = [*map(int32, (2, 15, 2**31 - 1)), b"2", b"1234", b"2147483647"]


@pytest.mark.parametrize("partition", MISSING)
async def test_a_missing_reply_partition_loses_no_reply(
    kafka: Kafka, ids: IdFactory, partition: bytes
):
    for _, sent, _ in _calls(ids):
        reply = await kafka.ask(sent.with_headers((REPLY_PARTITION, partition)))
        assert answer_of(reply.value).code is None


MALFORMED = [
    *(b"", b"-1", b"+1", b"1 ", b"one", b"99999999999"),
    *(b"\x00\x00\x01", b"\x00\x00\x00\x00\x01", b"\xff\xff\xff\xff"),
]


@pytest.mark.parametrize("malformed", MALFORMED)
async def test_a_malformed_reply_partition_is_a_bad_request(
    kafka: Kafka, topics: KafkaClient, ids: IdFactory, malformed: bytes
):
    sku = ids.sku()
    sent = as_record("receiveStock", {"sku": sku, "warehouseID": 1, "count": 2})
    reply = await kafka.ask(sent.with_headers((REPLY_PARTITION, malformed)))
    assert answer_of(reply.value).code == "bad-request"
    assert await stocks(topics, sku) == {}


async def test_replies_to_one_client_keep_the_order_of_its_requests(
    kafka: Kafka, topics: KafkaClient, ids: IdFactory
):
    user, (sku, _) = ids.user(), ids.product()
    await receive(topics, sku, 50)
    await topics.do("addToCart", user=user, sku=sku, count=50)
    correlation_ids = [kafka.correlation_id() for _ in range(50)]
    for correlation_id in correlation_ids:
        sent = as_record("deleteFromCart", {"user": user, "sku": sku, "count": 1})
        address = (REPLY_TOPIC, kafka.replies.encode()), (REPLY_PARTITION, int32(0))
        await kafka.send(sent.with_headers((CORRELATION_ID, correlation_id), *address))

    def is_reply(record: ConsumerRecord) -> bool:
        return dict(record.headers).get(CORRELATION_ID) in correlation_ids

    replies = await kafka.find(kafka.replies, is_reply, len(correlation_ids))
    assert [dict(reply.headers)[CORRELATION_ID] for reply in replies] == correlation_ids
    assert await cart(topics, user) == {}
