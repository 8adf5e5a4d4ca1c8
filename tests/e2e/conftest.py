"""What tests of a whole shop need to deal with it; the shop is that of ../conftest.py."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.doors import Door, HttpDoor, KafkaDoor
from tests.e2e.guarded import ADMIN, REPLIES, GuardedShop
from tests.e2e.kafka import Kafka
from tests.e2e.products import Products
from tests.e2e.shop import Shop


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks."""
    config.addinivalue_line("markers", "slow: takes more than a few seconds.")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client(running: Shop) -> AsyncIterator[Kafka]:
    """Somebody with a Kafka client and a reply topic."""
    kafka = Kafka(running.cluster)
    await kafka.start()
    yield kafka
    await kafka.stop()


@pytest.fixture
def kafka(shop: Shop, client: Kafka) -> Kafka:
    """The same, and no process may end."""
    return client


@pytest.fixture
def topics(shop: Shop, client: Kafka) -> KafkaDoor:
    """The request topics."""
    return KafkaDoor(client)


@pytest.fixture(params=["http", "topics"])
def door(request: pytest.FixtureRequest) -> Door:
    """Each of the two doors in turn."""
    return request.getfixturevalue(request.param)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def products(running: Shop) -> AsyncIterator[Products]:
    """The levers of the stand-in ProductService."""
    levers = Products(running.control)
    yield levers
    await levers.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GuardedShop]:
    """Another shop, which lets in only whom it knows."""
    async with GuardedShop(tmp_path_factory.mktemp("guarded")).opened() as shop:
        yield shop


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def admin(guarded: GuardedShop) -> AsyncIterator[Kafka]:
    """Who may do everything there; has made the customer's reply topic."""
    kafka = Kafka(guarded.cluster_of(ADMIN), REPLIES)
    await kafka.start()
    yield kafka
    await kafka.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def guarded_http(guarded: GuardedShop) -> AsyncIterator[HttpDoor]:
    """A gateway of that shop."""
    door = HttpDoor(guarded.gateways[0])
    yield door
    await door.close()
