"""What clients learn of an order: events in a topic, and notifications by mail."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest_asyncio
from aiokafka import ConsumerRecord

from tests.e2e.doors import Door, HttpDoor, KafkaDoor
from tests.e2e.kafka import Kafka
from tests.e2e.letters import said
from tests.e2e.people import Fresh
from tests.e2e.post import Post, post
from tests.e2e.scenes import bought, order, received
from tests.e2e.shop import Shop


async def _order_events(kafka: Kafka, made: int, *statuses: str) -> list[ConsumerRecord]:
    """Wait for these events of an order; there are no others and in no other order."""

    def of_it(record: ConsumerRecord) -> bool:
        return said(record).get("orderID") == made

    wanted = len(statuses)
    await kafka.find("order.events", of_it, wanted)
    await kafka.caught_up()
    found = await kafka.find("order.events", of_it, wanted)
    newest: dict[bytes, ConsumerRecord] = {}
    for record in found:
        newest.setdefault(dict(record.headers)["event-id"], record)
    assert [said(r)["status"] for r in newest.values()] == list(statuses)
    return list(newest.values())


async def test_each_status_of_an_order_is_an_event_under_its_shard(
    door: Door, kafka: Kafka, fresh: Fresh
):
    user, sku = fresh.user(), await received(door, fresh, 5)
    made = await order(door, user, {sku: 2})
    await door.do("orderPayed", orderID=made)
    await door.do("orderPayed", orderID=made)
    events = await _order_events(kafka, made, "new", "awaiting payment", "paid")
    for record in events:
        event = said(record)
        assert event.keys() == {"type", "orderID", "user", "status", "items", "at"}
        assert event["type"] == "orderStatusChanged"
        assert (event["orderID"], event["user"]) == (made, user)
        assert event["items"] == [{"sku": sku, "count": 2}]
        assert record.key == str(user % 4096).encode()
        assert ("event-id", f"{made}:{event['status']}".encode()) in record.headers
        at = datetime.fromisoformat(event["at"])
        assert at.utcoffset() == timedelta(0)
    times = [said(record)["at"] for record in events]
    assert times == sorted(times)
    assert len({record.partition for record in events}) == 1


async def test_each_final_status_of_an_order_is_an_event(
    door: Door, kafka: Kafka, fresh: Fresh
):
    sku = await received(door, fresh, 5)
    cancelled = await bought(door, fresh, {sku: 5})
    failed = await order(door, fresh.user(), {sku: 1})
    await door.do("cancelOrder", orderID=cancelled)
    await _order_events(kafka, cancelled, "new", "awaiting payment", "cancelled")
    await _order_events(kafka, failed, "new", "failed")


async def test_after_the_event_of_a_cancellation_the_units_can_be_bought(
    kafka: Kafka, topics: KafkaDoor, fresh: Fresh
):
    sku = await received(topics, fresh, 1)
    for _ in range(10):
        made = await order(topics, fresh.user(), {sku: 1})
        await _order_events(kafka, made, "new", "awaiting payment")
        await topics.do("cancelOrder", orderID=made)
        await _order_events(kafka, made, "new", "awaiting payment", "cancelled")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mails(running: Shop) -> AsyncIterator[Post]:
    """A mail server that receives the shop's notifications in these tests."""
    async with post(running) as there:
        yield there


async def test_each_status_is_mailed_to_the_orders_user(
    mails: Post, http: HttpDoor, fresh: Fresh
):
    user, sku = fresh.user(), await received(http, fresh, 5)
    made = await order(http, user, {sku: 2})
    await http.do("orderPayed", orderID=made)
    got = await mails.about(made, 3)
    assert [mail.status for mail in got] == ["new", "awaiting-payment", "paid"]
    for mail in got:
        assert mail.receivers == (f"user-{user}@example.test",)
        assert str(made) in mail.subject
        assert f"sku {sku}, 2 units" in mail.text


async def test_notifications_of_many_orders_arrive_once_each_and_in_order(
    mails: Post, http: HttpDoor, fresh: Fresh
):
    sku = await received(http, fresh, 20)
    made = await asyncio.gather(*(bought(http, fresh, {sku: 1}) for _ in range(20)))
    for n, one in enumerate(made):
        call = "orderPayed" if n % 2 else "cancelOrder"
        await http.do(call, orderID=one)
    for n, one in enumerate(made):
        end = "paid" if n % 2 else "cancelled"
        got = await mails.about(one, 3)
        assert [mail.status for mail in got] == ["new", "awaiting-payment", end]


async def test_a_mail_is_retried_after_a_temporary_rejection(
    mails: Post, http: HttpDoor, fresh: Fresh
):
    sku = await received(http, fresh, 5)
    mails.sink.answers.extend(["451 4.3.0 later", "421 4.3.0 even later"])
    made = await order(http, fresh.user(), {sku: 1})
    await http.do("cancelOrder", orderID=made)
    got = await mails.about(made, 3)
    assert [mail.status for mail in got] == ["new", "awaiting-payment", "cancelled"]


async def test_a_rejected_mail_is_a_dead_letter_and_the_next_is_sent(
    mails: Post, kafka: Kafka, http: HttpDoor, fresh: Fresh
):
    sku, user = await received(http, fresh, 5), fresh.user()
    mails.sink.unknown.add(f"user-{user}@example.test")
    made = await order(http, user, {sku: 1})
    event = f"{made}:awaiting payment".encode()
    [dead] = await kafka.find(
        "notifications.dlq", lambda record: ("event-id", event) in record.headers
    )
    assert b"550" in dict(dead.headers)["dlq.reason"]
    assert said(dead)["orderID"] == made
    mails.sink.unknown.clear()
    await http.do("orderPayed", orderID=made)
    assert [mail.status for mail in await mails.about(made, 1)] == ["paid"]


async def test_notifications_are_not_sent_again_after_a_restart(
    shop: Shop, mails: Post, kafka: Kafka, http: HttpDoor, fresh: Fresh
):
    sku = await received(http, fresh, 5)
    made = await order(http, fresh.user(), {sku: 1})
    assert len(await mails.about(made, 2)) == 2
    row_key = f"{made}:awaiting payment".encode()
    await kafka.find("notifications-sent-changelog", lambda row: row.key == row_key)
    await shop["notifications-1"].crash()
    other = await order(http, fresh.user(), {sku: 1})
    await mails.about(other, 2)
    await http.do("cancelOrder", orderID=made)
    got = await mails.about(made, 3)
    assert [mail.status for mail in got] == ["new", "awaiting-payment", "cancelled"]
