import asyncio
import re
import signal
import sys
from types import SimpleNamespace

import aiohttp
import grpc
import pytest

from agents.ops.product_stand_in import EDGES, PRODUCTS, SAMPLE_STOCKS, SAMPLES, TOKEN
from schemas.product_service import SERVICE, product_pb2
from tests.standins.product_service import ControlledStandIn

SKU = 773297411
MODULE = "tests.standins.product_service"


@pytest.fixture
async def service():
    stand_in = ControlledStandIn()
    await stand_in.start()
    yield stand_in
    await stand_in.stop()


@pytest.fixture
async def stub(service):
    async with grpc.aio.insecure_channel(service.address) as channel:
        yield stub_of(channel)


@pytest.fixture
async def process():
    """Run it as a process, on free ports."""
    arguments = ("-m", MODULE, "--port", "0", "--control-port", "0")
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(sys.executable, *arguments, stderr=pipe)
    yield running
    if running.returncode is None:
        running.kill()
        await running.wait()


async def port_in(stream: asyncio.StreamReader, words: str) -> int:
    async for line in stream:
        if found := re.search(rf"{words}\D*(?:127\.0\.0\.1:)?(\d+)\s*$", line.decode()):
            return int(found[1])
    raise AssertionError(f"no {words!r} in its log")


def stub_of(channel: grpc.aio.Channel) -> SimpleNamespace:
    return SimpleNamespace(
        GetProduct=channel.unary_unary(
            f"/{SERVICE}/GetProduct",
            product_pb2.GetProductRequest.SerializeToString,
            product_pb2.GetProductResponse.FromString,
        ),
        ListSkus=channel.unary_unary(
            f"/{SERVICE}/ListSkus",
            product_pb2.ListSkusRequest.SerializeToString,
            product_pb2.ListSkusResponse.FromString,
        ),
    )


def get_product(stub, sku: int, token: str = TOKEN):
    return stub.GetProduct(product_pb2.GetProductRequest(token=token, sku=sku))


async def page(stub, after: int, count: int) -> list[int]:
    request = product_pb2.ListSkusRequest(token=TOKEN, start_after_sku=after, count=count)
    return list((await stub.ListSkus(request)).skus)


async def test_the_samples_and_edges_are_those_of_the_contract(stub):
    expected = {
        773297411: ("Кроссовки Nike JORDAN", 2202),
        1148162: ("Кулинар Гуров", 2931),
        2958025: ("Roxy Music. Stranded. Remastered Edition", 1028),
    }
    for sku, (name, price) in expected.items():
        answer = await get_product(stub, sku)
        assert (answer.name, answer.price) == (name, price)
    for sku, price in ((1076963, 2202), (1625903, 2931), (2618151, 1028)):
        assert (await get_product(stub, sku)).price == price
    for sku in (65537, 65538, 4294967295):
        assert (await get_product(stub, sku)).price == sku


def test_the_catalogue_has_many_products_and_sample_stock():
    assert len(PRODUCTS) > 300
    assert SAMPLE_STOCKS[:3] == ((1076963, 10, 70), (1076963, 7, 45), (1148162, 1, 67))
    assert len(SAMPLE_STOCKS) > 200
    assert len({stock[:2] for stock in SAMPLE_STOCKS}) == len(SAMPLE_STOCKS)
    assert {sku for sku, _, _ in SAMPLE_STOCKS} <= PRODUCTS.keys()
    # Other samples have no stock before a test receives some.
    samples = {sku for sku, _, _ in SAMPLE_STOCKS} & (SAMPLES | EDGES).keys()
    assert samples == {1076963, 1148162}


@pytest.mark.parametrize(
    ("sku", "token", "code"),
    [
        (404, TOKEN, grpc.StatusCode.NOT_FOUND),
        (SKU, "guessed", grpc.StatusCode.UNAUTHENTICATED),
        (404, "", grpc.StatusCode.UNAUTHENTICATED),
    ],
)
async def test_a_wrong_token_or_an_unknown_sku_is_refused(stub, sku, token, code):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await get_product(stub, sku, token)
    assert refused.value.code() is code


async def test_skus_come_in_pages_that_start_after_the_last(stub):
    assert await page(stub, 0, 3) == [65537, 65538, 1076963]
    assert await page(stub, 65538, 2) == [1076963, 1148162]
    assert await page(stub, 4294967294, 5) == [4294967295]
    assert await page(stub, 4294967295, 5) == []
    assert await page(stub, 0, 2**32 - 1) == sorted(PRODUCTS)


async def test_a_port_that_is_taken_is_not_shared(service):
    with pytest.raises(RuntimeError, match="bind"):
        await ControlledStandIn().start(port=service.port)


async def test_the_control_port_changes_it_and_sigterm_stops_it(process):
    control_port = await port_in(process.stderr, "event=control-port")
    port = await port_in(process.stderr, "event=listening address=")
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    stub = stub_of(channel)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{control_port}") as control:
        await control.put(f"/products/{SKU}", json={"name": "Дёшево", "price": 1})
        await control.delete("/products/1148162")
        assert (await get_product(stub, SKU)).name == "Дёшево"
        with pytest.raises(grpc.aio.AioRpcError, match="NOT_FOUND"):
            await get_product(stub, 1148162)
        state = await (await control.patch("/state", json={"errorRate": 1})).json()
        assert state["callsBySku"] == {"1148162": 1, str(SKU): 1}
        with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
            await get_product(stub, SKU)
        assert (await control.patch("/state", json={"errorRate": 2})).status == 400
        assert (await (await control.delete("/calls")).json())["calls"] == 0
    await channel.close()
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 0
