"""One trace from HTTP through every record, as a collector receives it; and the logs."""

import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from agents.ops.local.processes import Process
from tests.e2e.clients import HttpClient
from tests.e2e.collector import Collector, Span
from tests.e2e.ids import IdFactory
from tests.e2e.kafka import Kafka
from tests.e2e.products import Products
from tests.e2e.records import Record
from tests.e2e.shop import Shop
from tests.e2e.steps import receive, received
from tests.e2e.waiting import until

pytestmark = pytest.mark.slow

GET_PRODUCT = "route256.product.ProductService/GetProduct"
REPLY = "receive gateway.replies"


class TracedShop(Shop):
    """A shop that sends its spans to a collector."""

    def __init__(self, directory: Path, endpoint: str) -> None:
        self._own = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "LOG_FORMAT": "json",
        }
        super().__init__(directory, gateways=1, loms_workers=1)

    def adapted(self, process: Process) -> Process:
        """Return a process with the collector's address."""
        process = super().adapted(process)
        return replace(process, environment=process.environment | self._own)


class Caller:
    """A client that starts traces, and reads their spans from the collector.

    Attributes:
        status: of the last response.
    """

    status = 0

    def __init__(self, client: HttpClient, collector: Collector) -> None:
        self._client = client
        self._collector = collector

    async def call(self, call: str, **body: object) -> tuple[str, str]:
        """Send a successful request; return its trace, and its parent span."""
        trace, span = secrets.token_hex(16), secrets.token_hex(8)
        headers = {"traceparent": f"00-{trace}-{span}-01"}
        url = f"{self._client.url}/{call}"
        async with self._client.session.post(url, json=body, headers=headers) as answer:
            self.status = answer.status
        return trace, span

    async def path(self, trace: str, last: str) -> list[tuple[str, str]]:
        """Wait for a span; return services and names from the request down to it."""
        end = await until(lambda: self._found(trace, last), f"{last} in a whole trace")
        return [(span.service, span.name) for span in self.line(end)]

    def spans(self, trace: str, name: str) -> list[Span]:
        """Return all spans of a name."""
        return [s for s in self._collector.of(trace).values() if s.name == name]

    def _found(self, trace: str, name: str) -> Span | None:
        ends = self.spans(trace, name)
        return next((e for e in ends if self.line(e)[0].kind == "SERVER"), None)

    def line(self, span: Span) -> list[Span]:
        """Return a span after all its ancestors."""
        known, line = self._collector.of(span.trace), [span]
        while above := known.get(line[0].parent):
            line.insert(0, above)
        return line


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def collector() -> AsyncIterator[Collector]:
    collector = Collector()
    await collector.start()
    yield collector
    await collector.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def traced(
    tmp_path_factory: pytest.TempPathFactory, collector: Collector
) -> AsyncIterator[TracedShop]:
    directory = tmp_path_factory.mktemp("traced")
    async with TracedShop(directory, collector.endpoint).opened() as shop:
        yield shop


@pytest_asyncio.fixture(loop_scope="session")
async def client(traced: TracedShop) -> AsyncIterator[HttpClient]:
    client = HttpClient(traced.gateways[0])
    yield client
    await client.close()


@pytest.fixture
def caller(client: HttpClient, collector: Collector) -> Caller:
    return Caller(client, collector)


async def with_a_product(client: HttpClient, ids: IdFactory) -> int:
    """A client with a cart of products that ProductService has."""
    user, (sku, _) = ids.user(), ids.product()
    await receive(client, sku, 1)
    await client.do("addToCart", user=user, sku=sku, count=1)
    return user


async def test_a_query_of_stock_is_one_record_in_each_direction(caller: Caller):
    trace, span = await caller.call("stocks", sku=1)
    assert await caller.path(trace, REPLY) == [
        ("gateway", "POST /stocks"),
        ("loms", "process stock.requests"),
        ("gateway", REPLY),
    ]
    (client,) = caller.spans(trace, "POST /stocks")
    assert (client.kind, client.parent, client.failed) == ("SERVER", span, False)
    (served,) = caller.spans(trace, "process stock.requests")
    assert served.kind == "CONSUMER"
    assert served.attributes["messaging.destination.name"] == "stock.requests"
    assert served.attributes["shop.request"] == "ListStocks"
    assert 0 < served.seconds < 60


async def test_a_purchase_is_one_trace_to_its_reply_and_to_the_notifications(
    caller: Caller, client: HttpClient, ids: IdFactory
):
    user, sku = ids.user(), await received(client, ids, 5)
    await client.do("addToCart", user=user, sku=sku, count=2)
    trace, _ = await caller.call("purchase", user=user)
    saga = [
        ("gateway", "POST /purchase"),
        ("checkout", "process cart.requests"),
        ("loms", "process order.requests"),
        ("loms", "process stock.requests"),
        ("loms", "process order.requests"),
    ]
    reply = [*saga, ("checkout", "process cart.requests"), ("gateway", REPLY)]
    assert await caller.path(trace, REPLY) == reply

    def notices() -> bool:
        return len(caller.spans(trace, "process order.events")) == 2

    await until(notices, "a notice of each status")
    ends = [caller.line(s) for s in caller.spans(trace, "process order.events")]
    lines = [[(span.service, span.name) for span in end] for end in ends]
    last_span = ("notifications", "process order.events")
    assert sorted(lines, key=len) == [[*saga[:3], last_span], [*saga, last_span]]


async def test_the_call_of_product_service_is_in_the_trace(
    caller: Caller, client: HttpClient, ids: IdFactory
):
    user = await with_a_product(client, ids)
    trace, _ = await caller.call("listCart", user=user)
    prefix = [
        ("gateway", "POST /listCart"),
        ("checkout", "process cart.requests"),
        ("products", "process product.requests"),
    ]
    assert await caller.path(trace, GET_PRODUCT) == [*prefix, ("products", GET_PRODUCT)]
    assert await caller.path(trace, REPLY) == [*prefix, ("gateway", REPLY)]
    (grpc,) = caller.spans(trace, GET_PRODUCT)
    assert (grpc.kind, grpc.failed) == ("CLIENT", False)


async def test_a_failed_span_is_marked_and_its_log_line_has_the_trace(
    caller: Caller, client: HttpClient, traced: TracedShop, ids: IdFactory
):
    user = await with_a_product(client, ids)
    products = Products(traced.control)
    await products.fail_next(100)
    trace, _ = await caller.call("listCart", user=user)
    await products.fail_next(0)
    await products.close()
    assert caller.status == 502
    await caller.path(trace, GET_PRODUCT)
    assert all(span.failed for span in caller.spans(trace, GET_PRODUCT))
    assert not any(span.failed for span in caller.spans(trace, "POST /listCart"))
    lines = [json.loads(line) for line in traced["products-1"].log.open()]
    logged = [line for line in lines if line.get("trace_id") == trace]
    assert [line["message"].split(" sku=")[0] for line in logged] == [
        "event=product-not-priced"
    ]
    assert logged[0]["service"] == "products"
    assert len(logged[0]["correlation_id"]) == 32


async def test_a_record_without_a_trace_begins_one(
    traced: TracedShop, collector: Collector
):
    kafka = Kafka(traced.cluster)
    await kafka.start()
    await kafka.send(Record("stock.requests", b'{"type":"stocks","sku":77}'))
    await kafka.stop()

    def begun() -> list[Span]:
        roots = [s for s in collector.spans if not s.parent and s.service == "loms"]
        return [s for s in roots if s.attributes["shop.request"] == "ListStocks"]

    await until(begun, "a trace that begins at its record")
