"""Fixtures of all kinds of tests: a broker, and one shop for tests of a whole shop.

The latter run in one event loop: supervisors and clients of the shop outlive a test.
"""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest
import pytest_asyncio

from tests.e2e.clients import HttpClient
from tests.e2e.ids import IdFactory
from tests.e2e.shop import Shop
from tests.standins.broker import EmbeddedKafka

# The duration of one example depends on the machine more than on the code.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

# The tools under test must not find a shop that runs in this repository.
os.environ["RUN_DIR"] = str(Path(__file__).parent / "no-shop-runs-here")

_HERE = Path(__file__).parent
_CLIENTS = _HERE / "clients"
_WITH_A_SHOP = (_HERE / "e2e", _CLIENTS)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real broker without topics."""
    directory = tmp_path_factory.mktemp("kafka")
    broker = EmbeddedKafka(directory)
    try:
        broker.start_and_wait()
        yield broker.bootstrap
    finally:
        broker.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests of a whole shop in the session's event loop, those of `clients/` last."""
    for item in items:
        has_a_shop = any(folder in item.path.parents for folder in _WITH_A_SHOP)
        if has_a_shop and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
    # In alphabetical order they would run first, with a shop beside all other tests.
    items.sort(key=lambda item: _CLIENTS in item.path.parents)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    """The shop."""
    async with Shop(tmp_path_factory.mktemp("shop")).opened() as shop:
        yield shop


@pytest.fixture
def shop(running: Shop) -> AsyncIterator[Shop]:
    """The shop; none of its processes may end, except by the test."""
    yield running
    ended = [u for u in running.units.values() if u.starts > u.expected]
    for unit in ended:
        unit.expected = unit.starts
    assert not ended, "\n".join(f"{u.name} ended:\n{u.log_tail()}" for u in ended)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gateways(running: Shop) -> AsyncIterator[list[HttpClient]]:
    """Clients of both gateways."""
    clients = [HttpClient(url) for url in running.gateways]
    yield clients
    for client in clients:
        await client.close()


@pytest.fixture
def http(shop: Shop, gateways: list[HttpClient]) -> HttpClient:
    """The client of the first gateway."""
    return gateways[0]


@pytest.fixture(scope="session")
def ids() -> IdFactory:
    """Unused ids."""
    return IdFactory()
