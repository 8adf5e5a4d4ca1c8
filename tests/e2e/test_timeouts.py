"""Orders that are not paid in time: here three seconds, not ten minutes."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from tests.e2e.clients import HttpClient, KafkaClient, ShopClient
from tests.e2e.ids import IdFactory
from tests.e2e.kafka import Kafka
from tests.e2e.shop import Shop
from tests.e2e.steps import bought, cart, order, received, status, stocks
from tests.e2e.waiting import until

TIME = "3"
TIME_TO_PAY = timedelta(seconds=int(TIME))
LATE = timedelta(seconds=3)  # the machine may be busy

pytestmark = pytest.mark.slow


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def _hurry(running: Shop) -> AsyncIterator[None]:
    await running["loms-1"].restart(PAYMENT_TIMEOUT_SECONDS=TIME)
    await running.ready()
    yield
    await running["loms-1"].restart()
    await running.ready()


async def _at(kafka: Kafka, made: int, status: str) -> datetime:
    """Wait for the event of an order's status; return its time."""
    event = ("event-id", f"{made}:{status}".encode())
    found = await kafka.find("order.events", lambda record: event in record.headers)
    return datetime.fromisoformat(json.loads(found[0].value)["at"])


async def _deadline(kafka: Kafka, made: int) -> datetime:
    return await _at(kafka, made, "awaiting payment") + TIME_TO_PAY


async def _late(kafka: Kafka, made: int) -> timedelta:
    """Wait until an order is cancelled; return the delay."""
    return await _at(kafka, made, "cancelled") - await _deadline(kafka, made)


async def test_an_unpaid_order_is_cancelled_and_its_units_can_be_bought(
    client: ShopClient, kafka: Kafka, ids: IdFactory
):
    sku = await received(client, ids, 3, 2)
    made = await bought(client, ids, {sku: 5})
    assert await stocks(client, sku) == {}
    assert timedelta(0) <= await _late(kafka, made) < LATE
    assert await status(client, made) == "cancelled"
    assert await stocks(client, sku) == {1: 3, 2: 2}
    assert await client.refusal("orderPayed", orderID=made) == "wrong-status"
    assert await client.do("cancelOrder", orderID=made) == {}


async def test_only_orders_that_await_payment_run_out_of_time(
    http: HttpClient, kafka: Kafka, ids: IdFactory
):
    user, sku = ids.user(), await received(http, ids, 4)
    paid, cancelled = [await order(http, user, {sku: 1}) for _ in range(2)]
    failed = await order(http, user, {sku: 9})
    await http.do("orderPayed", orderID=paid)
    await http.do("cancelOrder", orderID=cancelled)
    unpaid = await order(http, user, {sku: 1})
    assert await _late(kafka, unpaid) < LATE
    assert await status(http, paid) == "paid"
    assert await status(http, failed) == "failed"
    assert await stocks(http, sku) == {1: 3}
    assert await cart(http, user) == {}


async def test_of_concurrent_pay_and_timeout_one_succeeds_on_each_order(
    http: HttpClient, topics: KafkaClient, kafka: Kafka, ids: IdFactory
):
    clients, number = (http, topics), 120
    sku = await received(http, ids, number, number)

    async def race(n: int) -> str:
        made = await order(topics, ids.user(), {sku: 2})
        # From slightly too early to slightly too late.
        offset = timedelta(seconds=-0.4 + n / number)
        moment = await _deadline(kafka, made) + offset
        await until(lambda: datetime.now(UTC) >= moment, "the moment to pay")
        end = await clients[n % 2].ask("orderPayed", {"orderID": made})
        assert end.code in (None, "wrong-status")
        wanted = "cancelled" if end.code else "paid"
        assert await status(http, made) == wanted
        return wanted

    ends = Counter(await asyncio.gather(*map(race, range(number))))
    assert ends.keys() == {"paid", "cancelled"}
    assert sum((await stocks(http, sku)).values()) == 2 * ends["cancelled"]


async def test_concurrent_cancel_and_timeout_return_the_units_once(
    http: HttpClient, kafka: Kafka, ids: IdFactory
):
    sku = await received(http, ids, 60)

    async def race(n: int) -> None:
        made = await order(http, ids.user(), {sku: 1})
        moment = await _deadline(kafka, made) + timedelta(seconds=-0.2 + n / 120)
        await until(lambda: datetime.now(UTC) >= moment, "the moment to cancel")
        assert await http.do("cancelOrder", orderID=made) == {}

    await asyncio.gather(*map(race, range(60)))
    assert await stocks(http, sku) == {1: 60}


async def test_an_order_that_ran_out_of_time_while_loms_was_down_is_cancelled_at_once(
    shop: Shop, http: HttpClient, kafka: Kafka, ids: IdFactory
):
    sku = await received(http, ids, 5, 1)
    made = [await order(http, ids.user(), {sku: 2}) for _ in range(3)]
    paid = made.pop()
    await http.do("orderPayed", orderID=paid)
    await shop["loms-1"].crash(permanently=True)
    over = datetime.now(UTC) + TIME_TO_PAY
    await until(lambda: datetime.now(UTC) > over, "their time is over")
    shop["loms-1"].start(PAYMENT_TIMEOUT_SECONDS=TIME)
    await shop.ready()
    back = datetime.now(UTC)
    cancelled = await asyncio.gather(*(_at(kafka, one, "cancelled") for one in made))
    assert max(cancelled) < back + LATE
    assert {await status(http, one) for one in made} == {"cancelled"}
    assert await status(http, paid) == "paid"
    assert sum((await stocks(http, sku)).values()) == 4
