"""What clients learn of an order: events in a topic, and notifications by mail."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest_asyncio
from aiokafka import ConsumerRecord

from tests.e2e.clients import HttpClient, KafkaClient, ShopClient
from tests.e2e.ids import IdFactory
from tests.e2e.kafka import Kafka
from tests.e2e.mailbox import Mailbox, mailbox
from tests.e2e.records import body_of
from tests.e2e.shop import Shop
from tests.e2e.steps import bought, order, received


async def _order_events(kafka: Kafka, made: int, *statuses: str) -> list[ConsumerRecord]:
    """Wait for these events of an order; there are no others and in no other order."""

    def of_it(record: ConsumerRecord) -> bool:
        return body_of(record).get("orderID") == made

    wanted = len(statuses)
    await kafka.find("order.events", of_it, wanted)
    await kafka.drain()
    found = await kafka.find("order.events", of_it, wanted)
    newest: dict[bytes, ConsumerRecord] = {}
    for record in found:
        newest.setdefault(dict(record.headers)["event-id"], record)
    assert [body_of(r)["status"] for r in newest.values()] == list(statuses)
    return list(newest.values())


async def test_each_status_of_an_order_is_an_event_under_its_shard(
    client: ShopClient, kafka: Kafka, ids: IdFactory
):
    user, sku = ids.user(), await received(client, ids, 5)
    made = await order(client, user, {sku: 2})
    await client.do("orderPayed", orderID=made)
    await client.do("orderPayed", orderID=made)
    events = await _order_events(kafka, made, "new", "awaiting payment", "paid")
    for record in events:
        event = body_of(record)
        assert event.keys() == {"type", "orderID", "user", "status", "items", "at"}
        assert event["type"] == "orderStatusChanged"
        assert (event["orderID"], event["user"]) == (made, user)
        assert event["items"] == [{"sku": sku, "count": 2}]
        assert record.key == str(user % 4096).encode()
        assert ("event-id", f"{made}:{event['status']}".encode()) in record.headers
        at = datetime.fromisoformat(event["at"])
        assert at.utcoffset() == timedelta(0)
    times = [body_of(record)["at"] for record in events]
    assert times == sorted(times)
    assert len({record.partition for record in events}) == 1


async def test_each_final_status_of_an_order_is_an_event(
    client: ShopClient, kafka: Kafka, ids: IdFactory
):
    sku = await received(client, ids, 5)
    cancelled = await bought(client, ids, {sku: 5})
    failed = await order(client, ids.user(), {sku: 1})
    await client.do("cancelOrder", orderID=cancelled)
    await _order_events(kafka, cancelled, "new", "awaiting payment", "cancelled")
    await _order_events(kafka, failed, "new", "failed")


async def test_after_the_event_of_a_cancellation_the_units_can_be_bought(
    kafka: Kafka, topics: KafkaClient, ids: IdFactory
):
    sku = await received(topics, ids, 1)
    for _ in range(10):
        made = await order(topics, ids.user(), {sku: 1})
        await _order_events(kafka, made, "new", "awaiting payment")
        await topics.do("cancelOrder", orderID=made)
        await _order_events(kafka, made, "new", "awaiting payment", "cancelled")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mails(running: Shop) -> AsyncIterator[Mailbox]:
    """A mail server that receives the shop's notifications in these tests."""
    async with mailbox(running) as there:
        yield there


async def test_each_status_is_mailed_to_the_orders_user(
    mails: Mailbox, http: HttpClient, ids: IdFactory
):
    user, sku = ids.user(), await received(http, ids, 5)
    made = await order(http, user, {sku: 2})
    await http.do("orderPayed", orderID=made)
    got = await mails.about(made, 3)
    assert [mail.status for mail in got] == ["new", "awaiting-payment", "paid"]
    for mail in got:
        assert mail.receivers == (f"user-{user}@example.test",)
        assert str(made) in mail.subject
        assert f"sku {sku}, 2 units" in mail.text


async def test_notifications_of_many_orders_arrive_once_each_and_in_order(
    mails: Mailbox, http: HttpClient, ids: IdFactory
):
    sku = await received(http, ids, 20)
    made = await asyncio.gather(*(bought(http, ids, {sku: 1}) for _ in range(20)))
    for n, one in enumerate(made):
        call = "orderPayed" if n % 2 else "cancelOrder"
        await http.do(call, orderID=one)
    for n, one in enumerate(made):
        end = "paid" if n % 2 else "cancelled"
        got = await mails.about(one, 3)
        assert [mail.status for mail in got] == ["new", "awaiting-payment", end]


async def test_a_mail_is_retried_after_a_temporary_rejection(
    mails: Mailbox, http: HttpClient, ids: IdFactory
):
    sku = await received(http, ids, 5)
    mails.sink.answers.extend(["451 4.3.0 later", "421 4.3.0 even later"])
    made = await order(http, ids.user(), {sku: 1})
    await http.do("cancelOrder", orderID=made)
    got = await mails.about(made, 3)
    assert [mail.status for mail in got] == ["new", "awaiting-payment", "cancelled"]


async def test_a_rejected_mail_is_a_dead_letter_and_the_next_is_sent(
    mails: Mailbox, kafka: Kafka, http: HttpClient, ids: IdFactory
):
    sku, user = await received(http, ids, 5), ids.user()
    mails.sink.unknown.add(f"user-{user}@example.test")
    made = await order(http, user, {sku: 1})
    event = f"{made}:awaiting payment".encode()
    [dead] = await kafka.find(
        "notifications.dlq", lambda record: ("event-id", event) in record.headers
    )
    assert b"550" in dict(dead.headers)["dlq.reason"]
    assert body_of(dead)["orderID"] == made
    mails.sink.unknown.clear()
    await http.do("orderPayed", orderID=made)
    assert [mail.status for mail in await mails.about(made, 1)] == ["paid"]


async def test_notifications_are_not_sent_again_after_a_restart(
    shop: Shop, mails: Mailbox, kafka: Kafka, http: HttpClient, ids: IdFactory
):
    sku = await received(http, ids, 5)
    made = await order(http, ids.user(), {sku: 1})
    assert len(await mails.about(made, 2)) == 2

    def is_sent(row: ConsumerRecord) -> bool:
        return (
            row.key == f"{made}:awaiting payment".encode()
            and body_of(row)["outcome"] == "sent"  # its first row is of a pending one
        )

    await kafka.find("notifications-sent-changelog", is_sent)
    await shop["notifications-1"].crash()
    other = await order(http, ids.user(), {sku: 1})
    await mails.about(other, 2)
    await http.do("cancelOrder", orderID=made)
    got = await mails.about(made, 3)
    assert [mail.status for mail in got] == ["new", "awaiting-payment", "cancelled"]
