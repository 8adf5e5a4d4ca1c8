"""The metrics of a shop under load, and the queries of the dashboard."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.contract.exposition import Family, asked_for, complaints, families
from tests.e2e.clients import HttpClient
from tests.e2e.ids import IdFactory
from tests.e2e.kafka import Kafka
from tests.e2e.products import Products
from tests.e2e.records import Record
from tests.e2e.shop import Shop
from tests.e2e.steps import order, receive, received
from tests.e2e.waiting import until

DASHBOARD = Path(__file__).parents[2] / "agents/ops/observability/grafana/shop.json"

Scrape = Callable[[str], Awaitable[dict[str, Family]]]


@pytest.fixture
def scrape(shop: Shop) -> Scrape:
    """Query one process."""

    async def one(name: str) -> dict[str, Family]:
        return families(await _text(shop.metrics[name]))

    return one


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def _work(
    running: Shop,
    gateways: list[HttpClient],
    kafka_client: Kafka,
    ids: IdFactory,
    products: Products,
) -> None:
    """Cause all events that metrics count, once all processes export them."""
    for name, url in running.metrics.items():
        await until(lambda url=url: _answers(url), f"{name} exports metrics")
    client = gateways[0]
    user, (sku, _) = ids.user(), ids.product()
    await receive(client, sku, 5)
    await client.do("addToCart", user=user, sku=sku, count=2)
    await products.fail_next(1)
    await client.do("listCart", user=user)
    bought = (await client.do("purchase", user=user))["orderID"]
    await client.do("orderPayed", orderID=bought)
    assert await client.refusal("purchase", user=user) == "cart-empty"
    await client.refusal("listOrder", orderID=bought + 4096)
    await kafka_client.send(Record("order.requests", b"poison"))
    await order(client, user, {await received(client, ids, 1): 9})


async def _text(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/plain"
        return await answer.text()


async def _answers(url: str) -> bool:
    """Return whether the process serves already: a shop is ready without notifications."""
    try:
        return bool(await _text(url))
    except aiohttp.ClientConnectionError:
        return False


async def _comes(
    scrape: Scrape, process: str, name: str, suffix: str = "", **labels: str
) -> float:
    """Wait until a value is not zero."""

    async def look() -> float:
        exported = (await scrape(process)).get(name)
        return exported.value(suffix, **labels) if exported else 0

    return await until(look, f"{process} tells {name} {labels}")


async def test_each_process_exports_its_metrics(shop: Shop, scrape: Scrape):
    workers = {"checkout-1", "loms-1", "products-1", "notifications-1"}
    assert workers | {"gateway-1", "gateway-2"} <= set(shop.metrics)
    for name in shop.metrics:
        exported = await scrape(name)
        assert exported["process_resident_memory_bytes"].value() > 0


@pytest.mark.parametrize(
    ("process", "name", "labels"),
    [
        ("gateway-1", "http_requests_total", {"call": "purchase", "outcome": "ok"}),
        ("gateway-1", "http_requests_total", {"call": "purchase", "outcome": "cart-empty"}),
        ("gateway-1", "http_requests_in_flight", {}),  # this request itself
        ("loms-1", "kafka_consumer_records_total", {"topic": "order.requests"}),
        ("loms-1", "dead_letters_total", {"topic": "order.requests"}),
        ("loms-1", "orders_total", {"status": "paid"}),
        ("loms-1", "orders_total", {"status": "failed"}),
        ("loms-1", "rocksdb_size_bytes", {"table": "orders"}),
        ("checkout-1", "rocksdb_size_bytes", {"table": "carts"}),
        ("products-1", "grpc_client_retries_total", {"grpc_code": "UNAVAILABLE"}),
        (
            "notifications-1",
            "notices_total",
            {"transport": "log", "outcome": "sent"},
        ),
    ],
)
async def test_each_event_is_counted(scrape: Scrape, process: str, name: str, labels):
    assert await _comes(scrape, process, name, **labels) > 0


@pytest.mark.parametrize(
    ("process", "name"),
    [
        ("gateway-1", "http_request_duration_seconds"),
        ("loms-1", "kafka_consumer_batch_records"),
        ("loms-1", "order_saga_duration_seconds"),
        ("checkout-1", "recovery_duration_seconds"),
        ("products-1", "grpc_client_handling_seconds"),
    ],
)
async def test_each_duration_is_measured(scrape: Scrape, process: str, name: str):
    assert await _comes(scrape, process, name, "_count") > 0
    assert await _comes(scrape, process, name, "_sum") > 0


async def test_lag_is_exported_for_each_partition_and_falls_to_zero(
    shop: Shop, scrape: Scrape
):
    async def all_done() -> bool:
        lag = (await scrape("loms-1")).get("kafka_consumer_lag_records")
        topics = ("order.requests", "stock.requests")
        return (
            lag is not None
            and len(lag.series) == len(topics) * shop.partitions
            and lag.value() == 0
        )

    await until(all_done, "all partitions without lag")


async def test_each_metric_of_the_dashboard_is_exported(shop: Shop, scrape: Scrape):
    await _comes(scrape, "loms-1", "rocksdb_size_bytes")
    exported = {
        series
        for process in shop.metrics
        for family in (await scrape(process)).values()
        for series in family.names
    }
    panels = json.loads(DASHBOARD.read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    queried = {name for query in queries for name in asked_for(query)}
    assert len(queried) > len(panels) // 2
    assert queried - exported == set()


async def test_promtool_finds_no_fault(shop: Shop):
    for name, url in shop.metrics.items():
        assert complaints(await _text(url)) == "", name
