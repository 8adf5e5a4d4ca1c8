"""Where answers over Kafka go, and where they never go."""

import asyncio
import json
import time

import pytest
from aiokafka import ConsumerRecord

from tests.e2e.doors import KafkaDoor, answer_of, letter
from tests.e2e.kafka import Kafka
from tests.e2e.letters import CORRELATION_ID, REPLY_PARTITION, REPLY_TOPIC, Letter, int32
from tests.e2e.people import Fresh
from tests.e2e.scenes import cart, receive, received, stocks
from tests.e2e.shop import Shop
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


def _of(correlation_id: bytes):
    return lambda record: (CORRELATION_ID, correlation_id) in record.headers


async def _reply(kafka: Kafka, topic: str, correlation_id: bytes) -> ConsumerRecord:
    found = await kafka.find(topic, _of(correlation_id))
    assert len(found) == 1
    return found[0]


def _calls(fresh: Fresh) -> list[tuple[str, Letter, bytes]]:
    """Return a request for each aggregate, where its reply goes by default, and its key."""
    user, sku = fresh.user(), fresh.sku()
    return [
        ("cart.replies", letter("listCart", {"user": user}), str(user).encode()),
        (
            "order.replies",
            letter("createOrder", {"user": user, "items": [{"sku": sku, "count": 1}]}),
            str(user % 4096).encode(),
        ),
        ("stock.replies", letter("stocks", {"sku": sku}), str(sku).encode()),
    ]


@pytest.mark.parametrize("correlation_id", IDS.values(), ids=IDS.keys())
async def test_a_correlation_id_of_any_bytes_comes_back_unchanged(
    kafka: Kafka, fresh: Fresh, correlation_id: bytes
):
    user, sku = fresh.user(), fresh.sku()
    for call, body in (
        ("stocks", {"sku": sku}),
        ("addToCart", {"user": user, "sku": sku, "count": 1}),
        ("purchase", {"user": user}),
        ("createOrder", {"user": user, "items": [{"sku": sku, "count": 1}]}),
        ("stocks", {"sku": -1}),
    ):
        sent = letter(call, body)
        reply = await kafka.ask(sent, correlation_id)
        assert (CORRELATION_ID, correlation_id) in reply.headers


async def test_without_a_reply_topic_the_answer_is_shown_beside_the_requests(
    kafka: Kafka, fresh: Fresh
):
    for topic, sent, key in _calls(fresh):
        correlation_id = kafka.correlation_id()
        await kafka.send(sent.with_headers((CORRELATION_ID, correlation_id)))
        assert (await _reply(kafka, topic, correlation_id)).key == key


async def test_a_priced_cart_without_a_reply_topic_is_shown_as_well(
    kafka: Kafka, topics: KafkaDoor, fresh: Fresh
):
    user, (sku, product) = fresh.user(), fresh.product()
    await receive(topics, sku, 1)
    await topics.do("addToCart", user=user, sku=sku, count=1)
    correlation_id = kafka.correlation_id()
    sent = letter("listCart", {"user": user})
    await kafka.send(sent.with_headers((CORRELATION_ID, correlation_id)))
    reply = await _reply(kafka, "cart.replies", correlation_id)
    assert reply.key == str(user).encode()
    assert json.loads(reply.value)["items"][0]["name"] == product.name


async def test_a_request_without_any_header_is_carried_out_and_answered(
    kafka: Kafka, topics: KafkaDoor, fresh: Fresh
):
    sku = fresh.sku()
    await kafka.send(letter("receiveStock", {"sku": sku, "warehouseID": 1, "count": 2}))
    key = str(sku).encode()
    [reply] = await kafka.find("stock.replies", lambda record: record.key == key)
    assert reply.value == b'{"type":"done"}'
    assert await stocks(topics, sku) == {1: 2}


@pytest.mark.parametrize(
    "name",
    [
        *(b"cart.requests", b"stock.requests", b"order.events", b"loms-stock-changelog"),
        *(
            b"cart.dlq",
            b"replies",
            b".replies",
            b".reply",
            b"gateway-replies",
            b"e2e.replies.x",
        ),
        *(b"a b.replies", b"a/b.replies", b"\xff.replies", b"a\x00.replies"),
        *("ж.replies".encode(), b"x" * 242 + b".replies", b"e2e.replies\n", b" "),
        *(b"..replies/../cart.requests", b"__consumer_offsets"),
    ],
)
async def test_with_a_reply_topic_that_is_none_nothing_is_done_and_it_is_said(
    kafka: Kafka, topics: KafkaDoor, fresh: Fresh, name: bytes
):
    sku = fresh.sku()
    correlation_id = kafka.correlation_id()
    sent = letter("receiveStock", {"sku": sku, "warehouseID": 1, "count": 2})
    await kafka.send(
        sent.with_headers((CORRELATION_ID, correlation_id), (REPLY_TOPIC, name))
    )
    reply = await _reply(kafka, "stock.replies", correlation_id)
    assert answer_of(reply.value).code == "bad-request"
    assert reply.key == sent.key
    assert await stocks(topics, sku) == {}
    await kafka.caught_up()
    for topic, records in kafka.seen.items():
        if topic not in ("stock.requests", "stock.replies"):
            assert not any(map(_of(correlation_id), records)), topic


async def test_a_reply_topic_that_does_not_exist_holds_nobody_up(
    kafka: Kafka, topics: KafkaDoor, fresh: Fresh
):
    sku = fresh.sku()
    for n in range(20):
        sent = letter("receiveStock", {"sku": sku, "warehouseID": 1, "count": 1})
        missing = (REPLY_TOPIC, f"nobody-{n % 7}.replies".encode())
        await kafka.send(sent.with_headers(missing))
        began = time.monotonic()
        assert await stocks(topics, sku) == {1: n + 1}
        assert time.monotonic() - began < AT_ONCE_SECONDS


async def test_missing_reply_topics_do_not_fill_the_log(
    kafka: Kafka, topics: KafkaDoor, fresh: Fresh, shop: Shop
):
    logs, sku = [shop[name].log for name in ("loms-1", "loms-2")], fresh.sku()

    def dropped() -> int:
        return sum(log.read_text().count("event=replies-dropped") for log in logs)

    before = dropped()
    for n in range(50):
        missing = (REPLY_TOPIC, f"missing-{n}.replies".encode())
        await kafka.send(letter("stocks", {"sku": sku}).with_headers(missing))
    for _ in range(10):
        assert await stocks(topics, sku) == {}
    assert dropped() <= before + 4


async def test_a_reply_topic_that_is_created_later_gets_the_later_replies(
    kafka: Kafka, topics: KafkaDoor, fresh: Fresh
):
    sku, late = await received(topics, fresh, 5), "late.replies"
    sent = letter("stocks", {"sku": sku}).with_headers((REPLY_TOPIC, late.encode()))
    await kafka.send(sent)
    assert await stocks(topics, sku) == {1: 5}
    await kafka.create(late)
    async with kafka.reading(late) as records:

        async def ask_until_answered() -> None:
            while not records:
                await kafka.send(sent)
                await stocks(topics, sku)

        async with asyncio.timeout(20):
            await ask_until_answered()
    assert json.loads(records[0].value)["stocks"] == [{"warehouseID": 1, "count": 5}]


@pytest.mark.parametrize("partition", [0, 1])
async def test_the_reply_partition_is_heeded(kafka: Kafka, fresh: Fresh, partition: int):
    for _, sent, _ in _calls(fresh):
        wanted = (REPLY_PARTITION, int32(partition))
        assert (await kafka.ask(sent.with_headers(wanted))).partition == partition


@pytest.mark.parametrize("text", [b"0", b"1", b"0001"])
async def test_a_reply_partition_may_be_decimal_text(
    kafka: Kafka, fresh: Fresh, text: bytes
):
    for _, sent, _ in _calls(fresh):
        reply = await kafka.ask(sent.with_headers((REPLY_PARTITION, text)))
        assert reply.partition == int(text)


async def test_a_purchase_answers_also_a_caller_whose_reply_partition_is_text(
    kafka: Kafka, topics: KafkaDoor, fresh: Fresh
):
    user, sku = fresh.user(), await received(topics, fresh, 5)
    await topics.do("addToCart", user=user, sku=sku, count=1)
    sent = letter("purchase", {"user": user}).with_headers((REPLY_PARTITION, b"1"))
    reply = await kafka.ask(sent)
    assert (json.loads(reply.value)["type"], reply.partition) == ("orderPlaced", 1)
    assert ("kafka_nest-is-disposed", b"\0") in reply.headers


async def test_a_reply_topic_may_be_named_as_nest_names_it(kafka: Kafka, fresh: Fresh):
    await kafka.create("stock.requests.reply")
    async with kafka.reading("stock.requests.reply") as records:
        sent = letter("stocks", {"sku": fresh.sku()})
        await kafka.send(sent.with_headers((REPLY_TOPIC, b"stock.requests.reply")))
        await until(lambda: records, "the reply")
    assert json.loads(records[0].value) == {"type": "stocks", "stocks": []}


@pytest.mark.parametrize(
    "partition", [*map(int32, (2, 15, 2**31 - 1)), b"2", b"1234", b"2147483647"]
)
async def test_a_reply_partition_that_is_not_there_loses_no_reply(
    kafka: Kafka, fresh: Fresh, partition: bytes
):
    for _, sent, _ in _calls(fresh):
        reply = await kafka.ask(sent.with_headers((REPLY_PARTITION, partition)))
        assert answer_of(reply.value).code is None


@pytest.mark.parametrize(
    "malformed",
    [
        *(b"", b"-1", b"+1", b"1 ", b"one", b"99999999999"),
        *(b"\x00\x00\x01", b"\x00\x00\x00\x00\x01", b"\xff\xff\xff\xff"),
    ],
)
async def test_a_malformed_reply_partition_is_a_bad_request(
    kafka: Kafka, topics: KafkaDoor, fresh: Fresh, malformed: bytes
):
    sku = fresh.sku()
    sent = letter("receiveStock", {"sku": sku, "warehouseID": 1, "count": 2})
    reply = await kafka.ask(sent.with_headers((REPLY_PARTITION, malformed)))
    assert answer_of(reply.value).code == "bad-request"
    assert await stocks(topics, sku) == {}


async def test_replies_to_one_client_keep_the_order_of_its_requests(
    kafka: Kafka, topics: KafkaDoor, fresh: Fresh
):
    user, (sku, _) = fresh.user(), fresh.product()
    await receive(topics, sku, 50)
    await topics.do("addToCart", user=user, sku=sku, count=50)
    ids = [kafka.correlation_id() for _ in range(50)]
    for correlation_id in ids:
        sent = letter("deleteFromCart", {"user": user, "sku": sku, "count": 1})
        await kafka.send(
            sent.with_headers(
                (CORRELATION_ID, correlation_id),
                (REPLY_TOPIC, kafka.replies.encode()),
                (REPLY_PARTITION, int32(0)),
            )
        )
    mine = set(ids)
    replies = await kafka.find(
        kafka.replies, lambda r: dict(r.headers).get(CORRELATION_ID) in mine, len(ids)
    )
    assert [dict(reply.headers)[CORRELATION_ID] for reply in replies] == ids
    assert await cart(topics, user) == {}
