"""A visit for other people's clients: look at the stocks of a sku, and buy two pieces."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.clients.chromium import Chromium, chromium
from tests.e2e.doors import HttpDoor
from tests.e2e.kafka import Kafka
from tests.e2e.people import Fresh
from tests.e2e.scenes import received, stocks
from tests.e2e.shop import Shop

_THERE = {"warehouseID": 1, "count": 5}


@dataclass(frozen=True)
class Visit:
    """Who buys what, and where the replies go; a topic that is there."""

    brokers: str
    replies: str
    user: int
    sku: int
    http: HttpDoor

    @property
    def words(self) -> tuple[str, ...]:
        """What each client takes on its command line."""
        return self.brokers, self.replies, str(self.user), str(self.sku)

    async def came_off(self, said: str) -> None:
        """See to it that a client printed the right replies, and that they are true."""
        lines = [line for line in said.splitlines() if line.startswith("{")]
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
    """A real one."""
    return chromium(tmp_path)


@pytest_asyncio.fixture(loop_scope="session")
async def visit(shop: Shop, http: HttpDoor, fresh: Fresh) -> Visit:
    """A new one."""
    user, sku = fresh.user(), await received(http, fresh, _THERE["count"])
    replies = f"client-{user}.replies"
    await Kafka(shop.cluster).create(replies)
    return Visit(shop.kafka, replies, user, sku, http)
