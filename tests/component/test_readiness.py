"""A shop is ready when all of it serves; its sample stock is loaded once."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiokafka.partitioner import DefaultPartitioner

from agents.ops.local import readiness
from agents.ops.local.readiness import one_for_each, wait_until_ready
from agents.ops.product_stand_in import SAMPLE_STOCKS
from tests.standins.shop import Shop
from topics.cli import CommandError
from topics.kafka.settings import KafkaSettings

REPLIES = {
    "stocks": {"type": "stocks", "stocks": []},
    "listCart": {"type": "cart", "items": [], "totalPrice": 0},
    "listOrder": {"type": "refused", "code": "unknown-order", "text": ""},
    "receiveStock": {"type": "done"},
}
UNAVAILABLE = {"type": "refused", "code": "unavailable", "text": ""}


class Gateway:
    """Answers `/readyz`, after a number of failures; any other call needs a token."""

    def __init__(self) -> None:
        self.failures = 0
        self.calls = Counter[str]()
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.calls[request.path] += 1
        if request.method != "GET":
            return web.json_response({}, status=401)
        if self.failures > 0:
            self.failures -= 1
            return web.json_response({}, status=503)
        return web.json_response({})


class Owners:
    """Reply to the requests of all partitions, after a number of refusals by type."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.refusals = Counter[str]()
        self.silent: set[str] = set()
        self.seen = Counter[tuple[str, int]]()
        self.keys: set[bytes | None] = set()

    async def serve(self) -> None:
        while True:
            request = await self.shop.request()
            name = json.loads(request.value)["type"]
            if name in self.silent:
                continue
            if self.refusals[name] > 0:
                self.refusals[name] -= 1
                await self.shop.reply(request, UNAVAILABLE)
                continue
            self.seen[name, request.partition] += 1
            self.keys.add(dict(request.headers).get("idempotency-key"))
            await self.shop.reply(request, REPLIES[name])

    def count(self, name: str) -> list[int]:
        return [self.seen[name, partition] for partition in (0, 1)]


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    one, app = Gateway(), web.Application()
    app.router.add_route("*", "/{path:.*}", one.answer)
    server = TestServer(app)
    await server.start_server()
    one.url = str(server.make_url("")).rstrip("/")
    yield one
    await server.close()


@pytest.fixture
async def owners(shop: Shop) -> AsyncIterator[Owners]:
    owners = Owners(shop)
    serving = asyncio.create_task(owners.serve())
    yield owners
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving


@pytest.mark.parametrize("partitions", [1, 8, 50])
def test_there_is_a_key_for_each_partition(partitions: int):
    places = list(range(partitions))
    keys = [str(number).encode() for number in one_for_each(partitions)]
    found = {DefaultPartitioner()(key, places, places) for key in keys}
    assert found == set(places)


async def test_each_gateway_and_the_owner_of_each_partition_answer(
    gateway: Gateway, owners: Owners, cluster: KafkaSettings, tmp_path: Path
):
    gateway.failures = 2
    owners.refusals.update({"stocks": 3, "listCart": 1})
    await wait_until_ready([gateway.url], cluster, tmp_path)
    assert gateway.calls == {"/readyz": 3}  # which needs no token
    for name in ("stocks", "listCart", "listOrder"):
        assert owners.count(name) == [1, 1]


async def test_the_sample_stock_is_loaded_once(
    gateway: Gateway, owners: Owners, cluster: KafkaSettings, tmp_path: Path
):
    owners.refusals["receiveStock"] = 1
    for _ in range(2):
        await wait_until_ready([gateway.url], cluster, tmp_path / "marks")
    assert sum(owners.count("receiveStock")) == len(SAMPLE_STOCKS)
    assert len(owners.keys - {None}) == len(SAMPLE_STOCKS)
    assert owners.count("stocks") == [2, 2]


async def test_a_request_without_an_answer_is_named(
    gateway: Gateway,
    owners: Owners,
    cluster: KafkaSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(readiness, "READY_SECONDS", 5)
    owners.silent = {"stocks"}
    with pytest.raises(
        CommandError, match=r"no answer to stock\.requests .*sku.* \(and 1 more\)"
    ):
        await wait_until_ready([gateway.url], cluster, tmp_path)
    assert owners.count("receiveStock") == [0, 0]


async def test_a_gateway_that_is_not_ready_is_named(
    gateway: Gateway,
    cluster: KafkaSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(readiness, "READY_SECONDS", 3)
    gateway.failures = 10**6
    with pytest.raises(CommandError, match=r"no answer to http.*/readyz$"):
        await wait_until_ready([gateway.url], cluster, tmp_path)
