"""A replay is the same request as the letter that died, however often it is sent."""

import json

import pytest
from aiokafka.structs import ConsumerRecord

from agents.ops.dlq_replay import expects_no_reply, original_record, parse_request
from agents.ops.requests import refusal
from agents.runtime.collector import MAX_DEAD_LETTER
from agents.runtime.deserializer import Envelope, deserialize, parse_reply_context
from gateway.routes import ROUTES
from schemas.cart import Purchase
from schemas.contract import Code, Refused
from schemas.order import CreateOrder, ExpireOrder
from schemas.product import PriceCart
from schemas.stock import ReceiveStock, Release
from tests.unit.buried import arrived, buried, record
from topics.catalog import CART_REQUESTS, DEAD_LETTERS, ORDER_EVENTS, STOCK_REQUESTS
from topics.cli import CommandError

RECEIVE = ReceiveStock(sku=1, warehouse_id=1, count=5).to_json()
KEY = ("idempotency-key", b"k-1")
OLD = (
    ("kafka_correlationId", b"old"),
    ("kafka_replyTopic", b"old.replies"),
    ("kafka_replyPartition", b"one"),
)
ORIGIN = ("origin", b"cart.requests-7-9")

Headers = tuple[tuple[str, bytes | None], ...]


def dead(headers: Headers = (), value: bytes | None = RECEIVE) -> ConsumerRecord:
    return buried(value, b"1", headers, STOCK_REQUESTS)


def replayed(offset: int, *headers: tuple[str, bytes | None]) -> Envelope:
    """A dead letter's replay, as stock reads it at an offset."""
    there = arrived(original_record(dead(headers)), partition=0, offset=offset)
    return deserialize(STOCK_REQUESTS, there, parse_reply_context(there))


def test_a_replay_is_what_its_sender_sent_and_goes_where_it_came_from():
    headers = (("x", b"\xff"), ("y", None), ("x", b"2"), KEY)
    for source in DEAD_LETTERS:
        again = original_record(buried(b"\0", b"\1", headers, source))
        assert (again.topic, again.key, again.value) == (source.name, b"\1", b"\0")
        assert tuple(again.headers) == headers
        assert again.partition is None


def test_without_a_key_it_is_named_after_the_place_where_it_lay_first():
    first = record("stock.requests", RECEIVE, b"1")
    original = deserialize(STOCK_REQUESTS, first, parse_reply_context(first)).cause
    causes = [replayed(offset).cause for offset in (100, 101)]
    assert {cause.request_id for cause in causes} == {original.request_id}
    assert {cause.origin for cause in causes} == {"stock.requests-1-42"}


def test_with_a_key_it_is_one_more_attempt_at_the_same_request():
    causes = [replayed(offset, KEY).cause for offset in (100, 101)]
    assert {cause.request_id for cause in causes} == {"key:k-1"}
    assert [c.origin for c in causes] == ["stock.requests-0-100", "stock.requests-0-101"]


@pytest.mark.parametrize("headers", [(ORIGIN,), (ORIGIN, KEY)])
def test_what_began_elsewhere_keeps_the_name_it_got_there(headers: Headers):
    assert replayed(100, *headers).cause.origin == "cart.requests-7-9"


@pytest.mark.parametrize(
    "header", [("origin", b"nonsense"), ("origin", None), ("idempotency-key", None)]
)
def test_a_name_that_is_none_is_as_good_as_none(header: tuple[str, bytes | None]):
    assert replayed(100, header).cause.request_id == "stock.requests-1-42"


def test_what_dies_again_is_still_the_same_request():
    again = original_record(dead())
    once_more = buried(again.value, again.key, tuple(again.headers), STOCK_REQUESTS)
    there = arrived(original_record(once_more), offset=100)
    cause = deserialize(STOCK_REQUESTS, there, parse_reply_context(there)).cause
    assert cause.request_id == "stock.requests-1-42"


def test_the_conversation_is_over():
    conversation = replayed(100, *OLD).reply_context
    assert conversation.correlation_id is None
    assert conversation.reply_topic is None
    assert conversation.error is None


def test_what_was_cut_is_not_sent_again():
    with pytest.raises(CommandError, match=r"is truncated; stock\.requests-1-42"):
        original_record(dead(value=b"x" * (MAX_DEAD_LETTER + 1)))


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("dlq.topic", b"order.requests"), ("dlq.partition", b"1"), ("dlq.offset", b"1")),
        (("dlq.topic", b"stock.requests"), ("dlq.partition", b"1")),
        (("dlq.topic", b"stock.requests"), ("dlq.partition", b"x"), ("dlq.offset", b"1")),
    ],
)
def test_what_does_not_say_where_it_comes_from_is_not_sent_anywhere(headers: Headers):
    with pytest.raises(CommandError, match=r"stock\.dlq-1@42 has no valid source"):
        original_record(record("stock.dlq", RECEIVE, headers=headers))


@pytest.mark.parametrize("asks", [*(route.request for route in ROUTES), PriceCart])
def test_what_people_ask_for_is_answered(asks: type):
    assert not expects_no_reply(asks.model_construct())


def test_what_services_tell_each_other_need_not_be_answered():
    assert expects_no_reply(Release(sku=1, order_id=1))
    assert expects_no_reply(ExpireOrder(order_id=1, unpaid_seconds=1))


def test_what_cannot_be_read_is_refused_aloud():
    assert parse_request(STOCK_REQUESTS, b"hello") is None
    assert parse_request(ORDER_EVENTS, None) is None
    assert not expects_no_reply(None)


def test_what_can_be_read_is_known():
    assert parse_request(CART_REQUESTS, b'{"type":"purchase","user":1}') == Purchase(user=1)
    assert CreateOrder in {route.request for route in ROUTES}


def test_a_refusal_is_told_from_other_replies_also_one_of_tomorrow():
    said = refusal(Refused(code=Code.WRONG_STATUS, text="is paid").to_json())
    assert str(said) == "wrong-status (is paid)"
    unheard_of = {"type": "refused", "code": "too-late", "text": "closed", "more": 1}
    assert refusal(json.dumps(unheard_of).encode()) == ("too-late", "closed")
    assert refusal(b'{"type":"done"}') is None
