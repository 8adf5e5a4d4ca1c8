"""The scenario for other clients: query the stock of a sku, and buy two units."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.clients.chromium import Chromium, chromium
from tests.e2e.clients import HttpClient
from tests.e2e.ids import IdFactory
from tests.e2e.kafka import Kafka
from tests.e2e.shop import Shop
from tests.e2e.steps import received, stocks

_THERE = {"warehouseID": 1, "count": 5}


@dataclass(frozen=True)
class Visit:
    """The ids and addresses of a scenario; the reply topic exists."""

    brokers: str
    replies: str
    user: int
    sku: int
    http: HttpClient

    @property
    def words(self) -> tuple[str, ...]:
        """The arguments of each client's command line."""
        return self.brokers, self.replies, str(self.user), str(self.sku)

    async def check(self, output: str) -> None:
        """Check the replies that a client printed, and the state of the shop."""
        lines = [line for line in output.splitlines() if line.startswith("{")]
        seen, added, bought = map(json.loads, lines)
        assert seen == {"type": "stocks", "stocks": [_THERE]}
        assert added == {"type": "done"}
        assert bought["type"] == "orderPlaced"
        assert await self.http.do("listOrder", orderID=bought["orderID"]) == {
            "status": "awaiting payment",
            "user": self.user,
            "items": [{"sku": self.sku, "count": 2}],
        }
        assert await stocks(self.http, self.sku) == {1: 3}


@pytest.fixture
def browser(tmp_path: Path) -> Chromium:
    """A Chromium."""
    return chromium(tmp_path)


@pytest_asyncio.fixture(loop_scope="session")
async def visit(shop: Shop, http: HttpClient, ids: IdFactory) -> Visit:
    """A new scenario."""
    user, sku = ids.user(), await received(http, ids, _THERE["count"])
    replies = f"client-{user}.replies"
    await Kafka(shop.cluster).create(replies)
    return Visit(shop.kafka, replies, user, sku, http)
