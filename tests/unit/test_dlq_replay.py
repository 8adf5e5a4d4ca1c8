"""A replay is the same request as the original, however often it is sent."""

import json
from datetime import UTC, datetime, timedelta
from unittest.mock import Mock

import pytest
from aiokafka.structs import ConsumerRecord

from agents.ops.dlq_replay import (
    WITHOUT_REPLY,
    DeadLetterReplay,
    original_record,
    parse_request,
)
from agents.ops.requests import refusal
from agents.runtime.collector import MAX_DEAD_LETTER
from agents.runtime.deserializer import Envelope, deserialize, parse_reply_context
from gateway.routes import ROUTES
from schemas.cart import PriceCart, Purchase
from schemas.contract import Code, Item, Refused
from schemas.order import CreateOrder, ExpireOrder, OrderStatusChanged, Status
from schemas.stock import ReceiveStock, Release
from tests.unit.dead_letters import dead_letter, fetched, record
from topics.catalog import CART_REQUESTS, DEAD_LETTERS, ORDER_EVENTS, STOCK_REQUESTS
from topics.cli import CommandError
from topics.topic import EVENT_RETENTION

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
    return dead_letter(value, b"1", headers, STOCK_REQUESTS)


def replayed(offset: int, *headers: tuple[str, bytes | None]) -> Envelope:
    """A dead letter's replay, as stock reads it at an offset."""
    replay = fetched(original_record(dead(headers)), partition=0, offset=offset)
    return deserialize(STOCK_REQUESTS, replay, parse_reply_context(replay))


def test_a_replay_has_the_original_s_bytes_and_topic():
    headers = (("x", b"\xff"), ("y", None), ("x", b"2"), KEY)
    for source in DEAD_LETTERS:
        again = original_record(dead_letter(b"\0", b"\1", headers, source))
        assert (again.topic, again.key, again.value) == (source.name, b"\1", b"\0")
        assert tuple(again.headers) == headers
        assert again.partition is None


def test_without_a_key_its_first_location_identifies_it():
    first = record("stock.requests", RECEIVE, b"1")
    original = deserialize(STOCK_REQUESTS, first, parse_reply_context(first)).cause
    causes = [replayed(offset).cause for offset in (100, 101)]
    assert {cause.request_id for cause in causes} == {original.request_id}
    assert {cause.origin for cause in causes} == {"stock.requests-1-42"}


def test_with_a_key_it_is_another_attempt_at_the_same_request():
    causes = [replayed(offset, KEY).cause for offset in (100, 101)]
    assert {cause.request_id for cause in causes} == {"key:k-1"}
    assert [c.origin for c in causes] == ["stock.requests-0-100", "stock.requests-0-101"]


@pytest.mark.parametrize("headers", [(ORIGIN,), (ORIGIN, KEY)])
def test_a_record_with_an_origin_keeps_it(headers: Headers):
    assert replayed(100, *headers).cause.origin == "cart.requests-7-9"


@pytest.mark.parametrize(
    "header", [("origin", b"nonsense"), ("origin", None), ("idempotency-key", None)]
)
def test_an_invalid_name_counts_as_none(header: tuple[str, bytes | None]):
    assert replayed(100, header).cause.request_id == "stock.requests-1-42"


def test_a_replay_that_is_dead_again_is_still_the_same_request():
    again = original_record(dead())
    once_more = dead_letter(again.value, again.key, tuple(again.headers), STOCK_REQUESTS)
    replay = fetched(original_record(once_more), offset=100)
    cause = deserialize(STOCK_REQUESTS, replay, parse_reply_context(replay)).cause
    assert cause.request_id == "stock.requests-1-42"


def test_a_replay_has_no_reply_headers_of_the_original():
    context = replayed(100, *OLD).reply_context
    assert context.correlation_id is None
    assert context.reply_topic is None
    assert context.error is None


def test_a_truncated_dead_letter_is_not_replayed():
    with pytest.raises(CommandError, match=r"is truncated; stock\.requests-1-42"):
        original_record(dead(value=b"x" * (MAX_DEAD_LETTER + 1)))


async def test_an_event_that_is_too_old_to_be_notified_is_not_replayed():
    """Notifications would commit it, and not send it."""
    at = datetime.now(UTC) - EVENT_RETENTION - timedelta(minutes=1)
    items = (Item(sku=1, count=1),)
    event = OrderStatusChanged(order_id=1, user=1, status=Status.NEW, items=items, at=at)
    letter = dead_letter(event.to_json(), b"1", (), ORDER_EVENTS)
    replay = DeadLetterReplay(Mock(), Mock(), timedelta(seconds=1))
    with pytest.raises(CommandError, match="1:new is older than 30 days"):
        await replay.send(letter)


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("dlq.topic", b"order.requests"), ("dlq.partition", b"1"), ("dlq.offset", b"1")),
        (("dlq.topic", b"stock.requests"), ("dlq.partition", b"1")),
        (("dlq.topic", b"stock.requests"), ("dlq.partition", b"x"), ("dlq.offset", b"1")),
    ],
)
def test_a_dead_letter_without_a_valid_source_is_not_replayed(headers: Headers):
    with pytest.raises(CommandError, match=r"stock\.dlq-1@42 has no valid source"):
        original_record(record("stock.dlq", RECEIVE, headers=headers))


@pytest.mark.parametrize("request_type", [*(route.request for route in ROUTES), PriceCart])
def test_a_client_s_request_has_a_reply(request_type: type):
    assert not isinstance(request_type.model_construct(), WITHOUT_REPLY)


def test_a_request_of_a_service_may_have_no_reply():
    assert isinstance(Release(sku=1, order_id=1), WITHOUT_REPLY)
    assert isinstance(ExpireOrder(order_id=1, unpaid_seconds=1), WITHOUT_REPLY)


def test_an_invalid_value_is_no_request():
    assert parse_request(STOCK_REQUESTS, b"hello") is None
    assert parse_request(ORDER_EVENTS, None) is None


def test_a_valid_value_is_a_request():
    assert parse_request(CART_REQUESTS, b'{"type":"purchase","user":1}') == Purchase(user=1)
    assert CreateOrder in {route.request for route in ROUTES}


def test_a_refusal_differs_from_other_replies_also_one_with_a_new_code():
    refused = refusal(Refused(code=Code.WRONG_STATUS, text="is paid").to_json())
    assert str(refused) == "wrong-status (is paid)"
    new_code = {"type": "refused", "code": "too-late", "text": "closed", "more": 1}
    assert refusal(json.dumps(new_code).encode()) == ("too-late", "closed")
    assert refusal(b'{"type":"done"}') is None
