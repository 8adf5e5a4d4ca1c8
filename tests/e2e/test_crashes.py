"""kill -9 of each process in turn, while shoppers use HTTP and Kafka."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.audit import audit_notices
from tests.e2e.clients import HttpClient, KafkaClient
from tests.e2e.ids import IdFactory
from tests.e2e.load import Load, start_load
from tests.e2e.mailbox import Mailbox, mailbox
from tests.e2e.shop import Shop
from tests.e2e.steps import cart, stocks

pytestmark = pytest.mark.slow


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mails(running: Shop) -> AsyncIterator[Mailbox]:
    """A mail server that receives the shop's notifications in these tests."""
    async with mailbox(running) as there:
        yield there


@pytest_asyncio.fixture(loop_scope="session")
async def load(
    shop: Shop,
    gateways: list[HttpClient],
    topics: KafkaClient,
    ids: IdFactory,
    mails: Mailbox,
) -> AsyncIterator[Load]:
    """A load, half of it over HTTP and half over Kafka."""
    clients = [*gateways, topics, topics]
    async with start_load(shop, topics.kafka, clients, ids) as there:
        yield there


@pytest.mark.parametrize(
    ("victim", "times"),
    [
        ("gateway-1", 2),
        ("checkout-1", 2),
        ("loms-1", 2),
        ("products-1", 1),
        ("product-service", 1),
    ],
)
async def test_every_acknowledged_call_has_one_effect_when_any_process_is_killed(
    load: Load, mails: Mailbox, victim: str, times: int
):
    await load.during(*[load.shop[victim].crash] * times)
    await audit_notices(load.shoppers, mails, once=True)


async def test_no_notification_is_lost_when_the_worker_is_killed(
    load: Load, mails: Mailbox
):
    await load.during(*[load.shop["notifications-1"].crash] * 2)
    await audit_notices(load.shoppers, mails, once=False)


async def test_every_acknowledged_call_has_one_effect_when_all_workers_are_killed(
    load: Load, mails: Mailbox
):
    async def crash_all() -> None:
        names = ("checkout-1", "loms-1", "products-1", "notifications-1", "gateway-2")
        await asyncio.gather(*(load.shop[name].crash() for name in names))

    await load.during(crash_all)
    await audit_notices(load.shoppers, mails, once=False)


async def test_a_reply_before_a_crash_is_the_same_after_it(
    shop: Shop, gateways: list[HttpClient], topics: KafkaClient, ids: IdFactory
):
    user, (sku, _) = ids.user(), ids.product()
    line, order = {"user": user, "sku": sku}, {"user": user}
    steps = [
        ("receiveStock", {"sku": sku, "warehouseID": 1, "count": 9}),
        ("addToCart", {**line, "count": 5}),
        ("deleteFromCart", {**line, "count": 2}),
        ("purchase", order),
        ("createOrder", {**order, "items": [{"sku": sku, "count": 1}]}),
        ("createOrder", {**order, "items": [{"sku": sku, "count": 999}]}),
    ]
    calls = [(call, ids.key(), body) for call, body in steps]
    first = [await topics.do(call, key, **body) for call, key, body in calls]
    for made, call in zip(first[3:5], ("orderPayed", "cancelOrder"), strict=True):
        calls.append((call, ids.key(), {"orderID": made["orderID"]}))
        first.append(await topics.do(call, calls[-1][1], **calls[-1][2]))
    names = ("checkout-1", "loms-1", "gateway-1")
    await asyncio.gather(*(shop[name].crash() for name in names))
    for client in (topics, *gateways):
        again = [
            await client.ask_until_answered(call, key, **body) for call, key, body in calls
        ]
        assert [answer.reply for answer in again] == first
    assert await stocks(topics, sku) == {1: 6}
    assert await cart(topics, user) == {}


async def test_every_acknowledged_call_has_one_effect_when_the_broker_is_killed(
    load: Load, mails: Mailbox
):
    shop = load.shop
    await load.during(shop["kafka"].crash)
    # Workers whose state was uncertain without it have ended, as they must.
    shop.accept_ended()
    await audit_notices(load.shoppers, mails, once=False)


async def test_workers_that_start_together_with_their_broker_get_all_partitions(
    load: Load, mails: Mailbox
):
    shop = load.shop

    async def power_cut() -> None:
        units = [unit for unit in shop.units.values() if unit.runs]
        await asyncio.gather(*(unit.crash() for unit in units))

    await load.during(power_cut)
    shop.accept_ended()
    await audit_notices(load.shoppers, mails, once=False)
