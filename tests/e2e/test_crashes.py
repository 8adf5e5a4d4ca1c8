"""kill -9 of each process in turn, while shoppers use HTTP and Kafka."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.audit import audit_notices
from tests.e2e.doors import HttpDoor, KafkaDoor
from tests.e2e.people import Fresh
from tests.e2e.post import Post, post
from tests.e2e.scenes import cart, stocks
from tests.e2e.shop import Shop
from tests.e2e.storm import Storm, storm

pytestmark = pytest.mark.slow


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mails(running: Shop) -> AsyncIterator[Post]:
    """A mail server that receives the shop's notifications in these tests."""
    async with post(running) as there:
        yield there


@pytest_asyncio.fixture(loop_scope="session")
async def crowded(
    shop: Shop, gateways: list[HttpDoor], topics: KafkaDoor, fresh: Fresh, mails: Post
) -> AsyncIterator[Storm]:
    """A load, half of it over HTTP and half over Kafka."""
    doors = [*gateways, topics, topics]
    async with storm(shop, topics.kafka, doors, fresh) as there:
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
    crowded: Storm, mails: Post, victim: str, times: int
):
    await crowded.over(*[crowded.shop[victim].crash] * times)
    await audit_notices(crowded.shoppers, mails, once=True)


async def test_no_notification_is_lost_when_the_worker_is_killed(
    crowded: Storm, mails: Post
):
    await crowded.over(*[crowded.shop["notifications-1"].crash] * 2)
    await audit_notices(crowded.shoppers, mails, once=False)


async def test_every_acknowledged_call_has_one_effect_when_all_workers_are_killed(
    crowded: Storm, mails: Post
):
    async def crash_all() -> None:
        names = ("checkout-1", "loms-1", "products-1", "notifications-1", "gateway-2")
        await asyncio.gather(*(crowded.shop[name].crash() for name in names))

    await crowded.over(crash_all)
    await audit_notices(crowded.shoppers, mails, once=False)


async def test_a_reply_before_a_crash_is_the_same_after_it(
    shop: Shop, gateways: list[HttpDoor], topics: KafkaDoor, fresh: Fresh
):
    user, (sku, _) = fresh.user(), fresh.product()
    line, order = {"user": user, "sku": sku}, {"user": user}
    steps = [
        ("receiveStock", {"sku": sku, "warehouseID": 1, "count": 9}),
        ("addToCart", {**line, "count": 5}),
        ("deleteFromCart", {**line, "count": 2}),
        ("purchase", order),
        ("createOrder", {**order, "items": [{"sku": sku, "count": 1}]}),
        ("createOrder", {**order, "items": [{"sku": sku, "count": 999}]}),
    ]
    calls = [(call, fresh.key(), body) for call, body in steps]
    first = [await topics.do(call, key, **body) for call, key, body in calls]
    for made, call in zip(first[3:5], ("orderPayed", "cancelOrder"), strict=True):
        calls.append((call, fresh.key(), {"orderID": made["orderID"]}))
        first.append(await topics.do(call, calls[-1][1], **calls[-1][2]))
    names = ("checkout-1", "loms-1", "gateway-1")
    await asyncio.gather(*(shop[name].crash() for name in names))
    for door in (topics, *gateways):
        again = [
            await door.ask_until_answered(call, key, **body) for call, key, body in calls
        ]
        assert [answer.reply for answer in again] == first
    assert await stocks(topics, sku) == {1: 6}
    assert await cart(topics, user) == {}


async def test_every_acknowledged_call_has_one_effect_when_the_broker_is_killed(
    crowded: Storm, mails: Post
):
    shop = crowded.shop
    await crowded.over(shop["kafka"].crash)
    # Workers whose state was uncertain without it have ended, as they must.
    shop.accept_ended()
    await audit_notices(crowded.shoppers, mails, once=False)


async def test_workers_that_start_together_with_their_broker_get_all_partitions(
    crowded: Storm, mails: Post
):
    shop = crowded.shop

    async def power_cut() -> None:
        units = [unit for unit in shop.units.values() if unit.runs]
        await asyncio.gather(*(unit.crash() for unit in units))

    await crowded.over(power_cut)
    shop.accept_ended()
    await audit_notices(crowded.shoppers, mails, once=False)
