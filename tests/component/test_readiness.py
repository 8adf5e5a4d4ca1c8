"""A shop is ready when all of it serves; its sample stock is loaded once."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiokafka.partitioner import DefaultPartitioner

from agents.ops.local import readiness
from agents.ops.local.deployment import ShopError
from agents.ops.local.readiness import one_for_each, wait_until_ready
from agents.ops.product_stand_in import SAMPLE_STOCKS
from tests.standins.shop import Shop
from topics.kafka.settings import KafkaSettings


class Gateway:
    """Answers any call, after a number of failures by path."""

    def __init__(self) -> None:
        self.failures = Counter[str]()
        self.calls = Counter[str]()
        self.keys: set[str] = set()
        self.url = ""
        self.is_locked = False

    async def answer(self, request: web.Request) -> web.Response:
        self.calls[request.path] += 1
        if self.is_locked and request.method == "POST":
            return web.json_response({}, status=401)
        self.keys.add(request.headers.get("Idempotency-Key", ""))
        if self.failures[request.path] > 0:
            self.failures[request.path] -= 1
            return web.json_response({}, status=503)
        return web.json_response({}, status=404 if "Order" in request.path else 200)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    one, app = Gateway(), web.Application()
    app.router.add_route("*", "/{path:.*}", one.answer)
    server = TestServer(app)
    await server.start_server()
    one.url = str(server.make_url("")).rstrip("/")
    yield one
    await server.close()


@pytest.mark.parametrize("partitions", [1, 8, 50])
def test_there_is_a_key_for_each_partition(partitions: int):
    places = list(range(partitions))
    keys = [str(number).encode() for number in one_for_each(partitions)]
    found = {DefaultPartitioner()(key, places, places) for key in keys}
    assert found == set(places)


async def test_the_owner_of_each_partition_receives_a_request(
    gateway: Gateway, kafka: str, tmp_path: Path
):
    gateway.failures.update({"/readyz": 2, "/stocks": 3, "/listCart": 1})
    await wait_until_ready(
        [gateway.url], KafkaSettings(kafka=kafka, partitions=8), tmp_path
    )
    assert gateway.calls["/readyz"] == 3
    assert gateway.calls["/stocks"] == 8 + 3
    assert gateway.calls["/listOrder"] == 8
    assert gateway.calls["/listCart"] == 8 + 1


async def test_the_sample_stock_is_loaded_once(
    gateway: Gateway, kafka: str, tmp_path: Path
):
    for _ in range(2):
        await wait_until_ready(
            [gateway.url], KafkaSettings(kafka=kafka), tmp_path / "marks"
        )
    assert gateway.calls["/receiveStock"] == len(SAMPLE_STOCKS)
    assert len(gateway.keys - {""}) == len(SAMPLE_STOCKS)


async def test_a_request_without_an_answer_is_named(
    gateway: Gateway, kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(readiness, "READY_SECONDS", 0.5)
    gateway.failures["/stocks"] = 10**6
    with pytest.raises(ShopError, match=r"no answer to http.*/stocks .*sku"):
        await wait_until_ready([gateway.url], KafkaSettings(kafka=kafka), tmp_path)
    assert not gateway.calls["/receiveStock"]


async def test_a_locked_shop_receives_the_requests_over_kafka(
    gateway: Gateway, cluster: KafkaSettings, shop: Shop, tmp_path: Path
):
    gateway.is_locked = True
    opened = asyncio.create_task(wait_until_ready([gateway.url], cluster, tmp_path))
    replies = {
        "stocks": {"type": "stocks", "stocks": []},
        "listCart": {"type": "cart", "items": [], "totalPrice": 0},
        "listOrder": {"type": "refused", "code": "unknown-order", "text": ""},
        "receiveStock": {"type": "done"},
    }
    seen = Counter[tuple[str, int]]()
    keys = set()
    refused_once = False
    while not opened.done():
        waiting = asyncio.create_task(shop.request())
        await asyncio.wait({waiting, opened}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            break
        request = await waiting
        name = json.loads(request.value)["type"]
        if not refused_once:  # is retried
            refused_once = True
            unavailable = {"type": "refused", "code": "unavailable", "text": ""}
            await shop.reply(request, unavailable)
            continue
        seen[name, request.partition] += 1
        keys.add(dict(request.headers).get("idempotency-key"))
        await shop.reply(request, replies[name])
    await opened
    assert gateway.calls == {"/readyz": 1, "/stocks": 1}
    for name in ("stocks", "listCart", "listOrder"):
        assert [seen[name, partition] for partition in (0, 1)] == [1, 1]
    assert sum(seen["receiveStock", partition] for partition in (0, 1)) == len(
        SAMPLE_STOCKS
    )
    assert len(keys - {None}) == len(SAMPLE_STOCKS)
