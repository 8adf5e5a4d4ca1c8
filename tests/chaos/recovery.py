"""Faults of recovery and of standbys, in a shop with a standby of each partition."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from agents.ops.local.deployment import REPOSITORY
from tests.chaos.checks import audit
from tests.chaos.environment import Environment
from tests.chaos.fault import NotPossibleError, fault
from tests.chaos.processes import (
    HAS_ROWS,
    SCALED,
    any_worker,
    count_of,
    join,
    taken_over,
)
from tests.chaos.releases import NEW_FIELD, NEXT_RELEASE, SMALL_FILES, copy_product
from tests.e2e.processes import Unit
from tests.e2e.waiting import until
from topics.topology import CHANGELOGS

ASSIGNED = "Setting newly assigned partitions"
RECOVERED = "event=recovered"
"""A worker logs these when it receives partitions, and when it has read their changelogs
to the ends."""

TAIL_RECORDS = 4000  # of each partition: several times what RocksDB keeps in memory
TAIL_KEY_BYTES = 1000
MAX_READ_BYTES = 8 * 2**20  # before it is killed: half of its share of the tail

_FILES = ("*.sst", "MANIFEST-*", "CURRENT")
"""The files of RocksDB that it needs; the others are logs and options."""


@fault("kill -9 in the middle of recovery", standbys=1)
async def kill_in_recovery(environment: Environment) -> AsyncIterator[None]:
    """It reads a long tail, behind the rows of its former life or without any."""
    service = environment.random.choice(SCALED)
    units = environment.shop.workers(service)
    victim = environment.random.choice(units)
    await asyncio.gather(*(unit.crash(permanently=True) for unit in units))
    await _append_deletions(environment, service)
    if environment.random.random() < 0.5:
        shutil.rmtree(victim.state_dir)
    recoveries, stored = count_of(RECOVERED, victim), _stored_bytes(victim)
    for unit in units:
        unit.start()
    enough = stored + environment.random.randrange(MAX_READ_BYTES)
    await until(lambda: _stored_bytes(victim) > enough, f"{victim.name} reads")
    await victim.crash()
    if count_of(RECOVERED, victim) > recoveries:
        raise NotPossibleError("it had read all before it was killed")
    yield


async def _append_deletions(environment: Environment, service: str) -> None:
    """Append deletions of rows that never existed to a changelog without a writer."""
    names = [one.name for one in CHANGELOGS if one.name.startswith(service)]
    topic, producer = environment.random.choice(names), environment.kafka.producer
    for partition in range(environment.shop.partitions):
        for _ in range(TAIL_RECORDS):
            key = environment.random.randbytes(TAIL_KEY_BYTES // 2).hex().encode()
            await producer.send(topic, key=key, partition=partition)
    await producer.flush()


@fault("kill -9 of a worker, and of its standby while it takes over", standbys=1)
async def kill_the_heir(environment: Environment) -> AsyncIterator[None]:
    """At one of the steps until the standby serves; both come back."""
    victim, heir = _two_workers(environment)
    step = environment.random.choice((ASSIGNED, RECOVERED, HAS_ROWS))
    steps = count_of(step, heir)
    await victim.crash(permanently=True)
    await until(lambda: count_of(step, heir) > steps, f"{heir.name} takes over")
    await heir.crash()
    victim.start()
    yield


@fault("a standby's torn store, then its promotion", standbys=1, lasting=True)
async def promote_a_torn_standby(environment: Environment) -> AsyncIterator[None]:
    """A file is cut, overwritten or lost between two lives of a standby."""
    victim, heir = _two_workers(environment)
    kills = environment.random.random() < 0.5
    await (heir.crash(permanently=True) if kills else heir.stop())
    _damage(environment, heir)
    await join(heir)
    await environment.shop.ready()
    async with taken_over(environment, victim):
        await victim.crash(permanently=True)
    yield
    victim.start()


def _damage(environment: Environment, unit: Unit) -> None:
    """Damage one of a worker's files."""
    files = [file for file, size in _sizes(unit).items() if size]
    file, random = environment.random.choice(files), environment.random
    content = file.read_bytes()
    at = random.randrange(len(content))
    match random.choice(("cut", "overwritten", "lost")):
        case "cut":
            file.write_bytes(content[:at])
        case "overwritten":
            end = min(len(content), at + 64)
            file.write_bytes(content[:at] + random.randbytes(end - at) + content[end:])
        case "lost":
            file.unlink()


@fault("a machine's crash under a worker", standbys=1)
async def lose_unsynced_files(environment: Environment) -> AsyncIterator[None]:
    """Files lose some of what was written last; the rows that remain are right."""
    victim = any_worker(environment, environment.random.choice(SCALED))
    copy = environment.shop.local.directory / "small-files"
    victim.code = copy_product(copy, SMALL_FILES)
    await victim.stop()
    shutil.rmtree(victim.state_dir)  # RocksDB opens old files with their old options
    await join(victim)
    await _next_file(victim)
    synced = await _next_file(victim)
    await _next_file(victim)
    await victim.crash(permanently=True)
    _cut(environment, victim, synced)
    code, output = await audit(environment, "--stores", str(victim.state_dir.parent))
    victim.code = REPOSITORY
    victim.start()
    assert code == 0, f"the store of {victim.name}: {output}"
    yield


def _cut(environment: Environment, unit: Unit, synced: Mapping[Path, int]) -> None:
    """Cut a worker's files to their synced lengths, or some of them to any further one."""
    random = environment.random
    all_is_lost = random.random() < 0.5
    for file, size in _sizes(unit).items():
        begin = synced.get(file, 0)
        if size > begin and (all_is_lost or random.random() < 0.5):
            left = begin if all_is_lost else random.randrange(begin, size)
            file.write_bytes(file.read_bytes()[:left])


async def _next_file(unit: Unit) -> dict[Path, int]:
    """Wait until rows are in a new file of a worker; return the sizes of all its files."""
    before = _sizes(unit).keys()

    def sizes_if_new() -> dict[Path, int]:
        sizes = _sizes(unit)
        is_new = any(file.suffix == ".sst" for file in sizes.keys() - before)
        return sizes if is_new else {}

    return await until(sizes_if_new, f"{unit.name} writes rows into a new file")


@fault("rolling restart into the next release, and back", standbys=1, lasting=True)
async def change_the_release(environment: Environment) -> AsyncIterator[None]:
    """Rows have a new field in the next release, and keep it in this one."""
    units = [unit for service in SCALED for unit in environment.shop.workers(service)]
    copy = environment.shop.local.directory / "next-release"
    await _roll(environment, units, copy_product(copy, NEXT_RELEASE))
    yield
    await _roll(environment, units, REPOSITORY)
    await environment.kafka.drain()
    for topic in CHANGELOGS:
        if topic.name.startswith(SCALED):
            _new_field_stays(environment, topic.name)


async def _roll(environment: Environment, units: list[Unit], code: Path) -> None:
    for unit in units:
        await unit.stop()
        unit.code = code
        await join(unit)
        await environment.shop.ready()


def _new_field_stays(environment: Environment, changelog: str) -> None:
    """Check that no row loses the field, and that there are rows with it."""
    marked: set[bytes] = set()
    for record in environment.kafka.seen[changelog]:
        has_it = f'"{NEW_FIELD}"'.encode() in (record.value or b"")
        assert has_it or record.key not in marked, f"{changelog}: {record}"
        if has_it:
            marked.add(record.key)
    assert marked, f"{changelog} has no row of the next release"


def _two_workers(environment: Environment) -> list[Unit]:
    """Choose a service, and return its workers in any order."""
    workers = environment.shop.workers(environment.random.choice(SCALED))
    return environment.random.sample(workers, k=2)


def _stored_bytes(unit: Unit) -> int:
    """Return the bytes of rows in a worker's files."""
    return sum(size for file, size in _sizes(unit).items() if file.suffix == ".sst")


def _sizes(unit: Unit) -> dict[Path, int]:
    """Return the sizes of the files that RocksDB needs; it may remove some meanwhile."""
    return dict(sorted(_each_size(unit)))


def _each_size(unit: Unit) -> Iterator[tuple[Path, int]]:
    for pattern in _FILES:
        for file in unit.state_dir.glob(f"*/rows/{pattern}"):
            with suppress(FileNotFoundError):
                yield file, file.stat().st_size
