"""The guarantees of the catalogue to readers and writers of its topics."""

import re
from collections import Counter
from datetime import timedelta

import pytest

from agents.checkout.service import CART_AGGREGATE
from agents.loms.service import ORDER_AGGREGATE, STOCK_AGGREGATE
from schemas.cart import AddToCart, OrderSettled, PriceCart, Purchase, StockChecked
from schemas.contract import SHARDS, Done, Item, Refused
from schemas.order import (
    CancelOrder,
    CreateOrder,
    DeleteOrder,
    ExpireOrder,
    ListOrder,
    OrderStatusChanged,
    PayOrder,
    StockReserved,
)
from schemas.stock import CheckStock, ListStocks, ReceiveStock, Release, Reserve, Sell
from topics.catalog import (
    CART_REQUESTS,
    DEAD_LETTERS,
    DEFAULT_REPLIES,
    GATEWAY_REPLIES,
    ORDER_EVENTS,
    ORDER_REQUESTS,
    PRODUCT_REQUESTS,
    STOCK_REQUESTS,
    TOPIC_OF,
    TOPICS,
)
from topics.topic import FOREVER, TopicKind

A_MEBIBYTE = 2**20
ITEM = Item(sku=9, count=1)


def of_kind(kind):
    return [topic for topic in TOPICS if topic.kind is kind]


def test_every_topic_has_a_name_of_its_own_that_kafka_takes():
    names = Counter(topic.name for topic in TOPICS)

    assert {1} == set(names.values())
    assert all(re.fullmatch(r"[a-z][a-z.-]{1,100}", name) for name in names)


def test_every_topic_has_a_sentence_about_its_purpose():
    assert all(re.fullmatch(r"[A-Z].{10,}\.", topic.doc) for topic in TOPICS)


@pytest.mark.parametrize(
    ("topic", "messages"),
    [
        (CART_REQUESTS, {AddToCart, Purchase, StockChecked, OrderSettled}),
        (ORDER_REQUESTS, {CreateOrder, ListOrder, PayOrder, CancelOrder, StockReserved}),
        (STOCK_REQUESTS, {ListStocks, ReceiveStock, CheckStock, Reserve, Release, Sell}),
        (PRODUCT_REQUESTS, {PriceCart}),
        (ORDER_EVENTS, {OrderStatusChanged}),
    ],
)
def test_a_message_has_one_topic(topic, messages):
    assert messages <= {message for message, home in TOPIC_OF.items() if home is topic}


def test_every_message_of_a_topic_has_that_topic():
    carried = Counter(m for t in (*DEFAULT_REPLIES, ORDER_EVENTS) for m in t.contracts)

    assert set(TOPIC_OF) == set(carried)
    assert {1} == set(carried.values())


def test_no_two_messages_of_a_topic_have_the_same_type():
    for topic in {*TOPIC_OF.values()}:
        types = Counter(message.model_fields["type"].default for message in topic.contracts)
        assert {1} == set(types.values())


@pytest.mark.parametrize("reply", [Done, Refused])
def test_a_reply_has_no_topic_of_its_own(reply):
    assert reply not in TOPIC_OF


def test_every_aggregate_reads_the_topic_of_its_messages():
    listened_to = [
        aggregate.requests
        for aggregate in (CART_AGGREGATE, ORDER_AGGREGATE, STOCK_AGGREGATE)
    ]

    assert [CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS] == listened_to


@pytest.mark.parametrize(
    ("message", "key"),
    [
        (AddToCart(user=2**63 - 1, sku=1, count=1), b"9223372036854775807"),
        (Purchase(user=-42), b"-42"),
        (CreateOrder(user=-1, items=(ITEM,)), b"4095"),
        (CreateOrder(user=4097, items=(ITEM,)), b"1"),
        (PayOrder(order_id=2**53 - 1), b"4095"),
        (PayOrder(order_id=-1), b"4095"),
        (ExpireOrder(order_id=SHARDS, unpaid_seconds=1), b"0"),
        (DeleteOrder(order_id=-1, retention_days=2), b"4095"),
        (ListStocks(sku=2**32 - 1), b"4294967295"),
        (Release(sku=7, order_id=4097), b"7"),
        (PriceCart(user=9007199254740993, items=(ITEM,)), b"9007199254740993"),
    ],
)
def test_a_key_is_its_owners_number_in_decimal_text(message, key):
    assert key == TOPIC_OF[type(message)].key_of(message)


def test_every_keyed_message_has_the_attribute_that_keys_its_topic():
    for message, topic in TOPIC_OF.items():
        assert topic.key in message.model_fields or isinstance(
            getattr(message, topic.key, None), property
        )


def test_every_source_has_dead_letters_of_its_own():
    assert {*DEFAULT_REPLIES, ORDER_EVENTS} == set(DEAD_LETTERS)
    assert len(DEAD_LETTERS) == len(set(DEAD_LETTERS.values()))
    assert all(topic.name.endswith(".dlq") for topic in DEAD_LETTERS.values())


def test_dead_letters_take_more_than_any_request_and_keep_it_for_ever():
    for source, letters in DEAD_LETTERS.items():
        most = int(source.config(FOREVER).get("max.message.bytes", A_MEBIBYTE))
        assert int(letters.config(FOREVER)["max.message.bytes"]) > most
        assert "-1" == letters.config(FOREVER)["retention.ms"]


def test_reply_topics_end_in_replies():
    replies = of_kind(TopicKind.REPLIES)

    assert {*DEFAULT_REPLIES.values(), GATEWAY_REPLIES} == set(replies)
    assert replies == [topic for topic in TOPICS if topic.name.endswith(".replies")]
    assert all("3600000" == topic.config(FOREVER)["retention.ms"] for topic in replies)


def test_requests_are_stamped_by_the_broker_and_kept_for_ever():
    for topic in of_kind(TopicKind.REQUESTS):
        assert "LogAppendTime" == topic.config(FOREVER)["message.timestamp.type"]
        assert "-1" == topic.config(FOREVER)["retention.ms"]
        assert "3600000" == topic.config(timedelta(hours=1))["retention.ms"]


def test_events_are_kept_for_thirty_days():
    assert str(30 * 24 * 3600 * 1000) == ORDER_EVENTS.config(FOREVER)["retention.ms"]


def test_changelogs_are_compacted_but_not_within_an_hour():
    for topic in of_kind(TopicKind.CHANGELOG):
        assert "compact" == topic.config(FOREVER)["cleanup.policy"]
        assert int(topic.config(FOREVER)["min.compaction.lag.ms"]) >= 3_600_000
        assert "retention.ms" not in topic.config(timedelta(hours=1))


def test_every_table_has_a_changelog_of_its_own():
    assert 3 == len(
        {
            aggregate.changelog
            for aggregate in (CART_AGGREGATE, ORDER_AGGREGATE, STOCK_AGGREGATE)
        }
    )
    assert {a.changelog for a in (CART_AGGREGATE, ORDER_AGGREGATE, STOCK_AGGREGATE)} <= set(
        of_kind(TopicKind.CHANGELOG)
    )
