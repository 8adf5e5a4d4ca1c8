"""Unmodified NestJS ClientKafka, of each major version in use."""

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.clients.conftest import Visit
from tests.e2e.kafka import Kafka
from tests.e2e.shop import Shop
from tests.programs import npm_ci, run

CLIENT_SECONDS = 240.0
REPLIES = ("stock.requests.reply", "cart.requests.reply")

_HERE = Path(__file__).parent / "nest"


@pytest.fixture(params=["10", "11", "12"])
def nest(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The client with its packages."""
    there = npm_ci(_HERE / request.param, tmp_path)
    shutil.copy(_HERE / "client.mjs", there)
    return there


async def test_nest(nest: Path, visit: Visit, shop: Shop):
    for topic in REPLIES:
        await Kafka(shop.cluster).create(topic)
    words = ("node", "client.mjs", visit.brokers, str(visit.user), str(visit.sku))
    output = await asyncio.to_thread(run, *words, within=CLIENT_SECONDS, here=nest)
    await visit.check(output)
    assert "refused refused cart-empty" in output.splitlines()
