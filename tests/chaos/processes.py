"""Processes that are killed, stopped, frozen, scaled, or lose their state."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.chaos.environment import Environment
from tests.chaos.fault import fault
from tests.e2e.processes import Unit
from tests.e2e.waiting import until

SERVICES = ("checkout", "loms", "products", "notifications")
GATEWAYS = ("gateway-1", "gateway-2")
SCALED = ("checkout", "loms")

HAS_ROWS = "event=ready partitions="
"""A worker logs it when it has the rows of its assigned partitions."""


def any_worker(environment: Environment, service: str = "") -> Unit:
    """Choose one of the running workers."""
    return environment.random.choice(environment.shop.workers(service))


@fault("kill -9 of a worker")
async def kill_a_worker(environment: Environment) -> AsyncIterator[None]:
    """Its supervisor restarts it under the same name."""
    await any_worker(environment).crash()
    yield


@fault("kill -9 of a worker that stays dead", lasting=True)
async def lose_a_worker(environment: Environment) -> AsyncIterator[None]:
    """Another worker takes over."""
    victim = any_worker(environment, environment.random.choice(SERVICES))
    async with taken_over(environment, victim):
        await victim.crash(permanently=True)
    yield
    victim.start()


@fault("kill -9 of all workers")
async def kill_all_workers(environment: Environment) -> AsyncIterator[None]:
    """At the same moment."""
    await asyncio.gather(*(unit.crash() for unit in environment.shop.workers()))
    yield


@fault("kill -9 of a gateway")
async def kill_a_gateway(environment: Environment) -> AsyncIterator[None]:
    """A client without an answer retries."""
    await environment.shop[environment.random.choice(GATEWAYS)].crash()
    yield


@fault("kill -9 of ProductService")
async def kill_product_service(environment: Environment) -> AsyncIterator[None]:
    """Carts have no prices until it is back."""
    await environment.shop["product-service"].crash()
    yield


@fault("kill -9 of everything at once")
async def power_cut(environment: Environment) -> AsyncIterator[None]:
    """Brokers too."""
    units = [unit for unit in environment.shop.units.values() if unit.runs]
    await asyncio.gather(*(unit.crash() for unit in units))
    yield


@fault("SIGTERM of a worker")
async def restart_a_worker(environment: Environment) -> AsyncIterator[None]:
    """It must end in time, with exit code 0."""
    await any_worker(environment).restart()
    yield


@fault("rolling restart")
async def rolling_restart(environment: Environment) -> AsyncIterator[None]:
    """Each worker and gateway, one after the other."""
    for unit in environment.shop.workers():
        await unit.stop()
        await join(unit)
        await environment.shop.ready()
    for name in GATEWAYS:
        await environment.shop[name].restart()
        await environment.shop.ready()
    yield


@fault("SIGSTOP beyond the session timeout, SIGCONT", lasting=True)
async def freeze_a_worker(environment: Environment) -> AsyncIterator[None]:
    """Another worker takes over; when this one continues it must not change anything."""
    victim = any_worker(environment, environment.random.choice(SERVICES))
    starts = victim.starts
    async with taken_over(environment, victim):
        victim.freeze()
    yield
    victim.thaw()
    await until(lambda: victim.starts > starts, f"{victim.name} gives up, starts anew")


@fault("scale 1 → 3 → 1", lasting=True)
async def scale(environment: Environment) -> AsyncIterator[None]:
    """Workers of carts, orders and stock join and leave."""
    numbers = [f"{service}-{number}" for number in (2, 3) for service in SCALED]
    await _stop([name for name in numbers if environment.shop[name].runs], environment)
    await environment.shop.ready()
    for name in numbers:
        await join(environment.shop[name])
    await environment.shop.ready()
    await _stop(numbers, environment)
    yield
    for name in numbers[:2]:
        environment.shop[name].start()


async def join(unit: Unit) -> None:
    """Start a worker, and wait until it has partitions."""
    before = count_of(HAS_ROWS, unit)
    unit.start()
    await until(lambda: count_of(HAS_ROWS, unit) > before, f"{unit.name} is ready")


@asynccontextmanager
async def taken_over(environment: Environment, victim: Unit) -> AsyncIterator[None]:
    """Run the context's body, and wait until another worker has the victim's partitions."""
    service = victim.name.rpartition("-")[0]
    heirs = [unit for unit in environment.shop.workers(service) if unit is not victim]
    before = count_of(HAS_ROWS, *heirs)
    yield
    what = f"{victim.name} is replaced"
    await until(lambda: count_of(HAS_ROWS, *heirs) > before, what)


def count_of(text: str, *units: Unit) -> int:
    """Return how often a text is in the logs of workers, over all their starts."""
    return sum(unit.log.read_text(errors="replace").count(text) for unit in units)


async def _stop(names: list[str], environment: Environment) -> None:
    await asyncio.gather(*(environment.shop[name].stop() for name in names))


@fault("state directories deleted")
async def delete_state(environment: Environment) -> AsyncIterator[None]:
    """Of workers that were stopped, or killed."""
    await _between_lives(environment, lambda unit: shutil.rmtree(unit.state_dir))
    yield


@fault("a stale copy of the state put back")
async def put_back_stale_state(environment: Environment) -> AsyncIterator[None]:
    """A backup that was restored; it was consistent when it was made."""
    copies = environment.shop.local.directory / "copies"
    shutil.rmtree(copies, ignore_errors=True)
    await _between_lives(
        environment, lambda u: shutil.copytree(u.state_dir, copies / u.name)
    )
    await environment.shop.ready()
    await _between_lives(environment, lambda unit: _replace(unit, copies))
    yield


@fault("a torn store")
async def tear_state(environment: Environment) -> AsyncIterator[None]:
    """A copy of a running worker's files; and truncated files."""
    copies = environment.shop.local.directory / "torn"
    shutil.rmtree(copies, ignore_errors=True)
    for unit in environment.shop.workers("loms"):
        shutil.copytree(unit.state_dir, copies / unit.name, copy_function=_copy_if_there)
    await _between_lives(environment, lambda unit: _tear(unit, environment))
    yield


def _copy_if_there(source: str, target: str) -> None:
    """Copy a file, unless the worker has just removed it."""
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)


def _replace(unit: Unit, copies: Path) -> None:
    copy = copies / unit.name
    if copy.exists():
        shutil.rmtree(unit.state_dir)
        shutil.copytree(copy, unit.state_dir)


def _tear(unit: Unit, environment: Environment) -> None:
    """Restore a copy of a running worker's files, or truncate one file."""
    if environment.random.random() < 0.5:
        _replace(unit, environment.shop.local.directory / "torn")
        return
    files = sorted(unit.state_dir.rglob("rows/*"))
    victim = environment.random.choice([file for file in files if file.stat().st_size])
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])


async def _between_lives(
    environment: Environment, change: Callable[[Unit], object]
) -> None:
    """Stop or kill workers with tables, change their state, and start them again."""
    units = [
        unit for s in (*SCALED, "notifications") for unit in environment.shop.workers(s)
    ]
    kills = environment.random.random() < 0.5
    ends = (unit.crash(permanently=True) if kills else unit.stop() for unit in units)
    await asyncio.gather(*ends)
    for unit in units:
        change(unit)
        unit.start()
