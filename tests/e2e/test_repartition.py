"""A grown shop gets another number of partitions, up and down."""

import os
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.audit import audit_logs, carts_and_orders
from tests.e2e.clients import HttpClient
from tests.e2e.ids import IdFactory
from tests.e2e.records import Record
from tests.e2e.repartitioned import (
    RepartitionedShop,
    by_owner,
    receipt,
    repartition_with_kills,
    start_tool,
    totals,
    traffic,
)
from tests.e2e.steps import stocks
from tests.e2e.traffic import OPEN
from tests.e2e.waiting import until
from tests.e2e.writing import Writing
from topics.catalog import CART_REQUESTS, ORDER_EVENTS, ORDER_REQUESTS, STOCK_REQUESTS

pytestmark = pytest.mark.slow

LOGS = (CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS, ORDER_EVENTS)


@pytest_asyncio.fixture(loop_scope="session")
async def place(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[RepartitionedShop]:
    """A running shop with one partition."""
    async with RepartitionedShop(tmp_path_factory.mktemp("parts"), 1).opened() as shop:
        yield shop


async def test_a_shop_goes_on_with_more_partitions_and_then_with_fewer(
    place: RepartitionedShop, ids: IdFactory
):
    http = HttpClient(place.gateways[0])
    shoppers = await traffic(place, ids)
    sku, key = ids.sku(), ids.key()
    body = {"sku": sku, "warehouseID": 1, "count": 5}
    await http.do("receiveStock", key, **body)
    await place.send(receipt(sku, 1), Record("stock.requests", b"not JSON", b"7"))
    await place.send(*(receipt(sku, 10) for _ in range(3)))
    expected = 5 + 1 + 30
    assert (await stocks(http, sku))[1] == expected
    for partitions in (4, 2):
        before = await audit_logs(place)
        await place.stop_workers()
        late = time.time_ns() // 10**6
        await place.send(*(receipt(sku, 100, key=b"%d" % n) for n in range(3)))
        logs = {topic: await place.records(topic) for topic in LOGS}

        code, output = await place.repartition(str(partitions))

        assert code == 0, output
        after = totals(await audit_logs(place))
        # It counts requests that wait, too.
        assert after - totals(before) == {"received": 300, "available": 300}
        for topic, records in logs.items():
            moved = by_owner(topic, await place.records(topic), partitions, late)
            assert moved == by_owner(topic, records, place.partitions, late)
        await place.start_workers(partitions)
        expected += 300
        # In the new topics their offsets are those of records before.
        await place.send(*(receipt(sku, 1000) for _ in range(40)))
        expected += 40_000
        await http.do("receiveStock", key, **body)
        assert (await stocks(http, sku))[1] == expected
        for shopper in shoppers:
            await carts_and_orders(shopper, http)
        await _pay_one(shoppers, http)
        await audit_logs(place)
    await http.close()


@pytest.mark.parametrize("is_clean", [True, False], ids=["stopped", "killed"])
async def test_a_shop_whose_requests_are_deleted_can_be_audited_ever_after(
    place: RepartitionedShop, ids: IdFactory, tmp_path: Path, is_clean: bool
):
    """From a checkpoint of the stopped shop, and from one that was written under load."""
    http, sku, start = HttpClient(place.gateways[0]), ids.sku(), ("--from", tmp_path)
    await traffic(place, ids, shoppers=4, steps=6)
    async with Writing(place, http, sku) as writing:
        await writing.goes_on()
        await audit_logs(place, "--checkpoint", tmp_path)
        await writing.goes_on()
    await audit_logs(place, "--forget-before", tmp_path, "--yes")
    for partitions, stop_first in ((place.partitions + 3, True), (2, False)):
        async with Writing(place, http, sku) as writing:
            await writing.goes_on()
            await (place.stop_workers() if is_clean else place.kill_workers())
            if stop_first:
                await audit_logs(place, *start, "--checkpoint", tmp_path)
            code, output = await place.repartition(str(partitions))
            await writing.goes_on()
        assert code == 0, output
        assert "note: requests were deleted" in output
        before = await audit_logs(place, *start)
        await place.start_workers(partitions)
        await traffic(place, ids, shoppers=4, steps=6)
        await place.done()
        await audit_logs(place, *start, "--checkpoint", tmp_path)
        await audit_logs(place, "--forget-before", tmp_path, "--yes")
        after = await audit_logs(place, *start)
        assert after["received"] > before["received"] > 0
    await http.close()


async def _pay_one(shoppers, http: HttpClient) -> None:
    shopper = next(s for s in shoppers if any(o[0] == OPEN for o in s.orders.values()))
    shopper.clients = [http]
    await shopper._pay()  # noqa: SLF001


async def test_it_goes_on_without_one_of_three_brokers(tmp_path: Path, ids: IdFactory):
    """It is killed (kill -9) when topics are replaced, and comes back at the end."""
    async with RepartitionedShop(tmp_path, 1, brokers=3).opened() as shop:
        http, sku = HttpClient(shop.gateways[0]), ids.sku()
        shoppers = await traffic(shop, ids, shoppers=4, steps=6)
        before, settings = totals(await audit_logs(shop)), await shop.settings()
        await shop.stop_workers()
        async with Writing(shop, http, sku) as writing:
            await writing.goes_on()
            tool = await start_tool(shop, "3")
            await until(shop.topics_are_replaced, "topics are replaced")
            await shop["kafka-1"].crash(permanently=True)
            out, _ = await tool.communicate()
            assert tool.returncode == 0, out.decode()
            shop["kafka-1"].start()
            await writing.goes_on()
        assert await shop.settings() == settings
        assert {copies for copies, _ in settings.values()} == {3}
        await shop.start_workers(3)
        await shop.done()
        received = totals(await audit_logs(shop))["received"] - before["received"]
        assert (await stocks(http, sku))[1] == received
        assert 0 <= received - writing.acknowledged <= writing.unknown
        for shopper in shoppers:
            await carts_and_orders(shopper, http)
        await http.close()


@pytest.mark.skipif("LONG_TESTS" not in os.environ, reason="minutes: LONG_TESTS=1")
async def test_killed_at_any_instant_it_goes_on_and_no_acknowledged_request_is_lost(
    place: RepartitionedShop, ids: IdFactory
):
    """Clients write all the time; the tool and the broker are killed (kill -9)."""
    http = HttpClient(place.gateways[0])
    shoppers = await traffic(place, ids, shoppers=4, steps=6)
    before, chance = totals(await audit_logs(place)), random.Random(1)
    await place.stop_workers()
    sku = ids.sku()
    async with Writing(place, http, sku) as writing:
        kills = await repartition_with_kills(place, 3, chance, kafka_crashes=0.25)
        await writing.goes_on()
    assert kills > 3
    assert totals(await audit_logs(place))["written_off"] == before["written_off"]
    await place.start_workers(3)
    await place.done()
    received = (await stocks(http, sku))[1]
    assert writing.acknowledged <= received <= writing.acknowledged + writing.unknown
    for shopper in shoppers:
        await carts_and_orders(shopper, http)
    await audit_logs(place)
    assert writing.statuses <= {200, 503, 504}
    await http.close()
