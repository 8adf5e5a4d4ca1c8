"""Where a caller wants his reply: read from headers, and passed on from cause to effect."""

import pytest
from aiokafka import ConsumerRecord

from agents.runtime.deserializer import ReplyContext, deserialize, parse_reply_context
from topics.catalog import STOCK_REQUESTS

MOST = 2**31 - 1
NEST = ("kafka_nest-is-disposed", b"\x00")


def request(*headers: tuple[str, bytes | None]) -> ConsumerRecord:
    return ConsumerRecord(
        topic="stock.requests",
        partition=0,
        offset=7,
        timestamp=1_790_000_000_000,
        timestamp_type=1,
        key=b"1",
        value=b'{"type":"stocks","sku":1}',
        checksum=None,
        serialized_key_size=1,
        serialized_value_size=25,
        headers=headers,
    )


def context_of(partition: bytes | None) -> ReplyContext:
    return parse_reply_context(request(("kafka_replyPartition", partition)))


@pytest.mark.parametrize(
    ("header", "partition"),
    [
        (None, None),
        (b"\x00\x00\x00\x00", 0),
        (b"\x00\x00\x00\x03", 3),
        (b"\x00\x00\x30\x31", 12337),  # "01" behind two NULs: not all of it is digits
        (b"\x7f\xff\xff\xff", MOST),
        (b"0", 0),
        (b"7", 7),
        (b"15", 15),
        (b"007", 7),
        (b"0000", 0),
        (b"0001", 1),
        (b"1234", 1234),
        (b"12345", 12345),
        (b"2147483647", MOST),
        (b"0" * 9000 + b"5", 5),
    ],
)
def test_a_reply_partition_is_an_int32_or_decimal_text(header, partition):
    context = context_of(header)
    assert (context.reply_partition, context.error) == (partition, None)


@pytest.mark.parametrize(
    "header",
    [
        *(b"", b" ", b"+1", b"-1", b" 1", b"1 ", b"1\n", b"1.0", b"1e3", b"0x1", b"one"),
        *(b"\x00", b"\x00\x00\x01", b"\x00\x00\x00\x00\x01", b"\x00" * 8),
        *(b"\xff\xff\xff\xff", b"\x80\x00\x00\x00", b"2147483648", b"99999999999"),
        *(b"9" * 9000, "\u0661".encode(), "\uff11\uff12".encode()),
    ],
)
def test_any_other_reply_partition_is_an_error(header):
    assert context_of(header).reply_partition is None
    assert context_of(header).error == (
        "kafka_replyPartition: neither int32, big endian, nor decimal digits"
    )


@pytest.mark.parametrize("four", [b"-123", b"+123", b" 123", b"12.3", b"one!"], ids=ascii)
def test_four_bytes_that_are_not_all_digits_are_an_int32(four: bytes):
    assert context_of(four).reply_partition == int.from_bytes(four, "big")


@pytest.mark.parametrize(
    ("topic", "sound"),
    [
        ("me.replies", True),
        ("stock.requests.reply", True),
        ("x" * 241 + ".replies", True),
        ("x" * 243 + ".reply", True),
        *(
            (name, False)
            for name in (".reply", "reply", "a.reply.x", "a.replys", "a.Reply")
        ),
        *((name, False) for name in ("x" * 244 + ".reply", "x" * 242 + ".replies")),
        *((name, False) for name in ("a/b.reply", "a.reply\n", "cart.requests")),
    ],
)
def test_a_reply_topic_ends_in_replies_or_reply(topic: str, sound: bool):
    context = parse_reply_context(request(("kafka_replyTopic", topic.encode())))
    assert (context.reply_topic == topic) is sound
    assert (context.invalid_reply_topic is None) is sound


@pytest.mark.parametrize(
    ("given", "ends"),
    [(b"3", [NEST]), (b"1234", [NEST]), (b"\x00\x00\x00\x03", []), (None, [])],
)
def test_only_a_reply_to_nest_has_its_final_header(given, ends):
    headers = [("kafka_correlationId", b"c"), ("kafka_replyPartition", given)]
    assert parse_reply_context(request(*headers)).headers == [
        ("kafka_correlationId", b"c"),
        *ends,
    ]


@pytest.mark.parametrize(
    "partition", [b"3", b"1234", b"\x00\x00\x00\x03", b"\x7f\xff\xff\xff"]
)
def test_messages_of_a_request_have_its_return_address_unchanged(partition: bytes):
    address = [("kafka_replyTopic", b"a.reply"), ("kafka_replyPartition", partition)]
    record = request(("kafka_correlationId", b"c"), *address)
    onward = deserialize(
        STOCK_REQUESTS, record, parse_reply_context(record)
    ).propagated_headers({})
    assert onward == [
        ("origin", b"stock.requests-0-7"),
        ("kafka_correlationId", b"c"),
        *address,
    ]
    again = parse_reply_context(request(*onward))
    assert again.headers == parse_reply_context(record).headers


def test_headers_of_other_clients_are_ignored():
    theirs = (
        ("__TypeId__", b"com.example.Stocks"),
        ("spring_json_header_types", b'{"x":"java.lang.String"}'),
        ("contentType", b"application/json"),
        ("kafka_nest-err", b"no"),
        NEST,
        ("X-Kafka-Message-Type", b"\xff"),
    )
    record = request(*theirs, ("kafka_correlationId", b"c"))
    context = parse_reply_context(record)
    assert context.headers == [("kafka_correlationId", b"c")]
    assert deserialize(STOCK_REQUESTS, record, context).reply_context == context
