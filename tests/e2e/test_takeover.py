"""Two workers of LOMS that freeze, crash and restart, and local state that is invalid."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.clients import HttpClient, KafkaClient
from tests.e2e.ids import IdFactory
from tests.e2e.load import Load, start_load
from tests.e2e.processes import Unit
from tests.e2e.shop import Shop
from tests.e2e.waiting import until

READY = re.compile(r"ready partitions=(\d+)")
WORKERS = ("loms-1", "loms-2")

pytestmark = pytest.mark.slow


def _partitions(unit: Unit) -> int:
    """Return the number of partitions in a worker's last such log line."""
    found = READY.findall(unit.log.read_text(errors="replace"))
    return int(found[-1]) if found else 0


async def _share(shop: Shop) -> None:
    """Wait until both workers have partitions."""
    for name in WORKERS:
        await until(lambda name=name: _partitions(shop[name]), f"{name} has partitions")
    await shop.ready()


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def _two_workers(running: Shop) -> AsyncIterator[None]:
    running["loms-2"].start()
    await _share(running)
    yield
    await running["loms-2"].stop()
    await running.ready()


@pytest_asyncio.fixture(loop_scope="session")
async def load(
    shop: Shop, gateways: list[HttpClient], topics: KafkaClient, ids: IdFactory
) -> AsyncIterator[Load]:
    """A load, half of it over HTTP and half over Kafka."""
    clients = [*gateways, topics, topics]
    async with start_load(shop, topics.kafka, clients, ids) as there:
        yield there


async def test_a_zombie_worker_does_no_harm_when_it_continues(
    load: Load,
):
    shop = load.shop
    unit = shop["loms-1"]

    async def freeze() -> None:
        unit.freeze()
        # When all partitions serve again, the other worker has all of them.
        await shop.ready()

    async def thaw() -> None:
        starts = unit.starts
        unit.thaw()
        await until(lambda: unit.starts > starts, "it gives up and starts anew")
        unit.expected = unit.starts

    await load.during(freeze, thaw)
    shop.accept_ended()  # both writers end after a conflict
    await _share(shop)


async def test_a_worker_that_stays_down_is_replaced_by_the_other(
    load: Load,
):
    shop = load.shop

    async def kill() -> None:
        await shop["loms-2"].crash(permanently=True)
        await shop.ready()

    async def revive() -> None:
        shop["loms-2"].start()

    await load.during(kill, revive)
    await _share(shop)


async def test_a_rolling_restart_of_workers_is_not_visible_to_clients(
    load: Load,
):
    shop = load.shop
    names = ("checkout-1", "loms-1", "gateway-2")
    await load.during(*(shop[name].restart for name in names))


async def _replace(units: list[Unit], change: Callable[[Unit], None]) -> None:
    """Stop workers, change their state while they are down, and start them."""
    await asyncio.gather(*(unit.stop() for unit in units))
    for unit in units:
        change(unit)
        unit.start()


def _put(state: Path, unit: Unit) -> None:
    shutil.rmtree(unit.state_dir)
    shutil.copytree(state, unit.state_dir)


@pytest.fixture
def workers(shop: Shop) -> list[Unit]:
    """The workers with local state that also reply."""
    return [shop[name] for name in (*WORKERS, "checkout-1")]


async def test_local_state_that_was_deleted_is_rebuilt(load: Load, workers: list[Unit]):
    async def forget() -> None:
        await _replace(workers, lambda unit: shutil.rmtree(unit.state_dir))

    await load.during(forget)


async def test_stale_local_state_is_brought_up_to_date(
    load: Load, workers: list[Unit], tmp_path: Path
):
    async def keep() -> None:
        def copy(unit: Unit) -> None:
            shutil.copytree(unit.state_dir, tmp_path / unit.name)

        await _replace(workers, copy)

    async def put_back() -> None:
        await _replace(workers, lambda unit: _put(tmp_path / unit.name, unit))

    await load.during(keep, put_back)


async def test_local_state_copied_from_a_running_worker_does_no_harm(
    load: Load, tmp_path: Path
):
    unit = load.shop["checkout-1"]

    async def keep() -> None:
        shutil.copytree(unit.state_dir, tmp_path / "torn")

    async def put_back() -> None:
        await _replace([unit], lambda unit: _put(tmp_path / "torn", unit))

    await load.during(keep, put_back)


async def test_exchanged_local_states_of_workers_do_not_corrupt_the_stock(
    load: Load, tmp_path: Path
):
    one, two = (load.shop[name] for name in WORKERS)

    async def mix_up() -> None:
        await asyncio.gather(one.stop(), two.stop())
        one.state_dir.rename(tmp_path / "one")
        two.state_dir.rename(one.state_dir)
        (tmp_path / "one").rename(two.state_dir)
        one.start()
        two.start()

    await load.during(mix_up)
