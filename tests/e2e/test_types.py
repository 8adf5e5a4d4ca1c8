"""Invalid values: refused over HTTP and over Kafka, without an effect."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from tests.e2e.clients import (
    Answer,
    HttpClient,
    KafkaClient,
    ShopClient,
    answer_of,
    as_record,
)
from tests.e2e.fields import Field, fields
from tests.e2e.ids import IdFactory
from tests.e2e.kafka import Kafka
from tests.e2e.steps import cart, order, receive, status, stocks

DLQ = {
    "cart.requests": "cart.dlq",
    "order.requests": "order.dlq",
    "stock.requests": "stock.dlq",
}


@dataclass
class Witness:
    """A cart, an order and a stock that must not change."""

    user: int
    sku: int
    made: int

    async def is_unmoved(self, client: ShopClient) -> bool:
        """Return whether nothing has changed."""
        return (
            await cart(client, self.user) == {self.sku: 3}
            and await status(client, self.made) == "awaiting payment"
            and await stocks(client, self.sku) == {1: 8}
        )


@pytest_asyncio.fixture(loop_scope="session")
async def witness(http: HttpClient, ids: IdFactory) -> AsyncIterator[Witness]:
    """State that a test must not change, checked at its end."""
    user, (sku, _) = ids.user(), ids.product()
    await receive(http, sku, 10)
    await http.do("addToCart", user=user, sku=sku, count=3)
    there = Witness(user, sku, await order(http, user, {sku: 2}))
    assert await there.is_unmoved(http)
    yield there
    assert await there.is_unmoved(http)


def _fields(witness: Witness) -> list[Field]:
    return fields(witness.user, witness.sku, witness.made)


async def test_over_http_a_wrong_integer_is_400_and_the_field_is_named(
    http: HttpClient, witness: Witness
):
    for field in _fields(witness):
        for body in field.wrong_bodies():
            answer = await http.post(field.call, body)
            assert answer.code == "bad-request", (field, body)
            assert field.name in answer.text or _is_no_json(body), (answer, body)


def _is_no_json(body: bytes) -> bool:
    try:
        json.loads(body, parse_constant=lambda _: int("no"))
    except ValueError:
        return True
    return False


async def test_over_kafka_a_wrong_integer_is_refused_and_a_dead_letter(
    kafka: Kafka, witness: Witness, ids: IdFactory
):
    for field in _fields(witness):
        proper = as_record(field.call, {"user": 1, "sku": 1, "orderID": 1})
        topic, mark = proper.topic, ("mark", ids.key().encode())
        bodies = [_typed(field.call, body) for body in field.wrong_bodies()]
        sent = [replace(proper, value=body, headers=(mark,)) for body in bodies]
        replies = await asyncio.gather(*map(kafka.ask, sent))
        assert {answer_of(reply.value).code for reply in replies} == {"bad-request"}
        dead = await kafka.find(DLQ[topic], lambda r, m=mark: m in r.headers, len(bodies))
        assert [record.value for record in dead] == bodies
        for record in dead:
            assert record.key == proper.key
            _check_reason(record, topic, field.name)


def _typed(call: str, body: bytes) -> bytes:
    return b'{"type": "%s", %s' % (call.encode(), body[1:])


def _check_reason(record, topic: str, name: str) -> None:
    headers = dict(record.headers)
    assert headers["dlq.topic"] == topic.encode()
    assert headers["dlq.partition"].isdigit()
    assert headers["dlq.offset"].isdigit()
    reason = headers["dlq.reason"].decode()
    assert name in reason or _is_no_json(record.value), (reason, record.value)


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("addToCart", '{"user": 1, "sku": 2}'),
        ("addToCart", '{"user": 1, "sku": 2, "count": 1, "price": 1}'),
        ("createOrder", '{"user": 1}'),
        ("createOrder", '{"user": 1, "items": null}'),
        ("createOrder", '{"user": 1, "items": {}}'),
        ("createOrder", '{"user": 1, "items": [1]}'),
        ("createOrder", '{"user": 1, "items": [{"sku": 1}]}'),
        ("createOrder", '{"user": 1, "items": [{"sku": 1, "count": 1, "x": 1}]}'),
        ("listOrder", '{"orderId": 1}'),
        ("listOrder", '{"order_id": 1}'),
        ("receiveStock", '{"sku": 1, "warehouse_id": 1, "count": 1}'),
        ("stocks", "{}"),
        ("stocks", "[]"),
        ("stocks", "1"),
        ("stocks", ""),
        ("stocks", '{"sku": 1'),
        ("stocks", '{"sku": 1} {"sku": 1}'),
        ("stocks", '{"sku": 1, "sku": "1"}'),
        ("stocks", '{"sku": 1, "sku": 1}'),
        ("addToCart", '{"user": 1, "sku": 1, "count": 1, "count": 50}'),
        ("createOrder", '{"user": 1, "items": [{"sku": 1, "count": 1, "count": 2}]}'),
    ],
)
async def test_a_body_with_a_wrong_structure_is_refused(
    http: HttpClient, topics: KafkaClient, call: str, body: str
):
    assert (await http.post(call, body.encode())).code == "bad-request"
    proper = as_record(call, {"user": 1, "sku": 1, "orderID": 1})
    value = _typed(call, body.encode()) if body[:1] == "{" else body.encode()
    assert (await _send(topics, replace(proper, value=value))).code == "bad-request"


async def _send(topics: KafkaClient, sent) -> Answer:
    return answer_of((await topics.kafka.ask(sent)).value)


async def test_over_http_the_type_is_not_a_field(http: HttpClient):
    answer = await http.post("stocks", b'{"type": "stocks", "sku": 1}')
    assert (answer.code, "type" in answer.text) == ("bad-request", True)


async def test_values_at_the_ends_of_the_ranges_are_accepted(
    client: ShopClient, ids: IdFactory
):
    user = ids.user()
    for warehouse in (-(2**63), 0, 2**63 - 1):
        await client.do("receiveStock", sku=0, warehouseID=warehouse, count=1)
    assert {0, -(2**63), 2**63 - 1} <= (await stocks(client, 0)).keys()
    await client.do("addToCart", user=user, sku=0, count=1)
    made = (await client.do("purchase", user=user))["orderID"]
    assert await status(client, made) == "awaiting payment"
