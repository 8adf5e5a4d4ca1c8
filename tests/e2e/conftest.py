"""One shop for all tests here, and what they need to deal with it.

All of them run in one event loop, since that of the shop's keepers and clients must not
end with a test.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.doors import Door, HttpDoor, KafkaDoor
from tests.e2e.guarded import ADMIN, REPLIES, GuardedShop
from tests.e2e.kafka import Kafka
from tests.e2e.people import Fresh
from tests.e2e.products import Products
from tests.e2e.shop import Shop

_HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks."""
    config.addinivalue_line("markers", "slow: takes more than a few seconds.")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all tests of this folder in the session's event loop."""
    for item in items:
        if _HERE in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    """The shop itself."""
    async with Shop(tmp_path_factory.mktemp("shop")).opened() as shop:
        yield shop


@pytest.fixture
def shop(running: Shop) -> AsyncIterator[Shop]:
    """The shop; no process of it may end but by the test's own hand."""
    yield running
    ended = [u for u in running.units.values() if u.starts > u.expected]
    for unit in ended:
        unit.expected = unit.starts
    assert not ended, "\n".join(f"{u.name} ended:\n{u.last_words()}" for u in ended)


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


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gateways(running: Shop) -> AsyncIterator[list[HttpDoor]]:
    """Both gateways."""
    doors = [HttpDoor(url) for url in running.gateways]
    yield doors
    for door in doors:
        await door.close()


@pytest.fixture
def http(shop: Shop, gateways: list[HttpDoor]) -> HttpDoor:
    """The first gateway."""
    return gateways[0]


@pytest.fixture
def topics(shop: Shop, client: Kafka) -> KafkaDoor:
    """The request topics."""
    return KafkaDoor(client)


@pytest.fixture(params=["http", "topics"])
def door(request: pytest.FixtureRequest) -> Door:
    """Each of the two doors in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def fresh() -> Fresh:
    """What nobody has used yet."""
    return Fresh()


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
