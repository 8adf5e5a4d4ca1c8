"""Fixtures of tests of a whole shop; ../conftest.py has the shop itself."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.clients import HttpClient, KafkaClient, ShopClient
from tests.e2e.guarded import ADMIN, REPLIES, GuardedShop
from tests.e2e.kafka import Kafka
from tests.e2e.products import Products
from tests.e2e.shop import Shop


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    config.addinivalue_line("markers", "slow: takes more than a few seconds.")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kafka_client(running: Shop) -> AsyncIterator[Kafka]:
    """A Kafka client with a reply topic."""
    kafka = Kafka(running.cluster)
    await kafka.start()
    yield kafka
    await kafka.stop()


@pytest.fixture
def kafka(shop: Shop, kafka_client: Kafka) -> Kafka:
    """The same client; no process may end during the test."""
    return kafka_client


@pytest.fixture
def topics(shop: Shop, kafka_client: Kafka) -> KafkaClient:
    """The client of the request topics."""
    return KafkaClient(kafka_client)


@pytest.fixture(params=["http", "topics"])
def client(request: pytest.FixtureRequest) -> ShopClient:
    """The HTTP client and the Kafka client, one after the other."""
    return request.getfixturevalue(request.param)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def products(running: Shop) -> AsyncIterator[Products]:
    """The control of the stand-in ProductService."""
    control = Products(running.control)
    yield control
    await control.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GuardedShop]:
    """A shop with TLS, logins and access rights."""
    async with GuardedShop(tmp_path_factory.mktemp("guarded")).opened() as shop:
        yield shop


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def admin(guarded: GuardedShop) -> AsyncIterator[Kafka]:
    """An administrator's client; it has created the customer's reply topic."""
    kafka = Kafka(guarded.cluster_of(ADMIN), REPLIES)
    await kafka.start()
    yield kafka
    await kafka.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def guarded_http(guarded: GuardedShop) -> AsyncIterator[HttpClient]:
    """A client of that shop's gateway."""
    client = HttpClient(guarded.gateways[0])
    yield client
    await client.close()
