"""A worker of one table, in a group that gives it plans."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agents.runtime.state_store import StateStore
from agents.worker import tasks
from agents.worker.assignment import MemberPlan
from agents.worker.tasks import TaskManager
from tests.component.worker_harness import breathe, settings
from tests.e2e.waiting import until
from topics.catalog import STOCK_CHANGELOG

PATIENCE_SECONDS = 5.0

Call = tuple[str, set[int]]


class _Consumer:
    """The consumer of a worker.

    Attributes:
        idle: set while no agent works on revoked partitions.
        owned_elsewhere: partitions that their owners have not released.
        may_serve: set while partitions can be sought.
        rejoined: `leaving` of each time that it joined again.
        is_rebalancing: whether it is to join again.
    """

    def __init__(self, calls: list[Call], store: StateStore) -> None:
        self._calls = calls
        self._store = store
        self.idle, self.may_serve = asyncio.Event(), asyncio.Event()
        self.idle.set()
        self.may_serve.set()
        self.owned_elsewhere: set[int] = set()
        self.rejoined: list[bool] = []
        self.is_rebalancing = False

    generation = 3

    async def update_topics(self) -> None: ...

    async def revoke(self, partitions: set[int]) -> None:
        self._calls.append(("revoke", {*partitions}))

    async def wait_until_done(self) -> None:
        await self.idle.wait()
        self._calls.append(("rows", self._store.offsets.keys() & {0, 1}))

    async def release(self, partitions: set[int]) -> None:
        self._calls.append(("rows", self._store.offsets.keys() & {0, 1}))
        self._calls.append(("release", {*partitions}))

    def forget_revoked(self) -> None: ...

    async def unreleased(self, partitions: set[int], _: int) -> set[int]:
        self._calls.append(("await", {*partitions}))
        return partitions & self.owned_elsewhere

    async def take_over(self, partitions: set[int]) -> None: ...

    async def serve(self, partitions: set[int]) -> None:
        await self.may_serve.wait()
        self._calls.append(("serve", {*partitions}))

    def rejoin(self, *, leaving: bool = False) -> None:
        self.rejoined.append(leaving)

    def assignment(self) -> set[Any]:
        return set()

    def resume_flow(self) -> None: ...


class _Standbys:
    """Follows nothing; its lags are the test's."""

    def __init__(self, calls: list[Call], on_progress: Any) -> None:
        self._calls = calls
        self.on_progress = on_progress
        self.lags: dict[Any, int] = {}
        self.by_partition: dict[int, int] = {}

    def lag(self, partition: int) -> int | None:
        return self.by_partition.get(partition)

    async def measure(self, partitions: Any) -> None: ...

    async def follow(self, partitions: set[int]) -> None:
        self._calls.append(("follow", {*partitions}))

    async def stop(self) -> None:
        self._calls.append(("stop following", set()))


class Worker:
    """A worker of one table, in a group that gives it plans.

    Attributes:
        calls: what the worker has done, in order, and with which partitions.
        read: set while changelogs can be read to their ends.
    """

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[Call] = []
        self.read = asyncio.Event()
        self.read.set()
        self.store = StateStore(directory / "stock", "here")
        self.consumer = _Consumer(self.calls, self.store)
        monkeypatch.setattr(tasks, "read_changelogs", self._read_changelogs)
        monkeypatch.setattr(tasks, "StandbyReader", self._standby_reader)
        self.settings = settings(directory)
        self.assignor = SimpleNamespace(plan=MemberPlan(), members=1)
        started = SimpleNamespace(maybe_start=breathe, resume=lambda: None)
        app = SimpleNamespace(
            settings=self.settings,
            consumer=self.consumer,
            assignor=self.assignor,
            pause_monitor=SimpleNamespace(arm=lambda: None),
            flow_control=started,
            _fetcher=started,
            partitions_revoked=breathe,
            partitions_recovered=self._recovered,
        )
        topic = SimpleNamespace(get_topic_name=lambda: STOCK_CHANGELOG.name)
        table = SimpleNamespace(
            changelog_topic=topic, data=SimpleNamespace(rows=self.store)
        )
        tables = SimpleNamespace(values=lambda: [table], on_actives_ready=lambda: None)
        self.tasks = TaskManager(app, tables)

    async def assign(self, active: set[int], **plan: set[int]) -> None:
        """Carry out a plan."""
        self.assignor.plan = MemberPlan({*active}, **plan)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.tasks.handle_assignment()

    async def serves(self, partitions: set[int]) -> None:
        """Wait until it serves these partitions."""
        await until(lambda: self.store.active == partitions, f"{partitions}", 5)
        await breathe()

    def done(self, *names: str) -> list[Call]:
        """Return the calls of some names, and forget all."""
        found = [call for call in self.calls if call[0] in names]
        self.calls.clear()
        return found

    def _standby_reader(self, *args: Any) -> _Standbys:
        self.standbys = _Standbys(self.calls, args[-1])
        return self.standbys

    async def _read_changelogs(self, _: object, partitions: set[int], __: object) -> int:
        self.calls.append(("read", {*partitions}))
        for partition in partitions:
            self.store.load(partition)
        await self.read.wait()
        return 0

    async def _recovered(self, partitions: set[int]) -> None:
        self.calls.append(("recovered", {*partitions}))


@asynccontextmanager
async def opened(
    directory: Path, monkeypatch: pytest.MonkeyPatch, deaths: list[str]
) -> AsyncIterator[Worker]:
    """Run a worker that must not die."""
    there = Worker(directory, monkeypatch)
    await there.tasks.open()
    yield there
    assert not deaths
    there.read.set()
    there.consumer.idle.set()
    there.consumer.may_serve.set()
    await there.tasks.close()
