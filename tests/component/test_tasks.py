"""How a worker carries out the plans of its group: releases, take-overs, warm-ups."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agents.runtime.state_store import StateStore
from agents.worker import tasks
from agents.worker.assignment import WARM_RECORDS, MemberPlan
from agents.worker.tasks import TaskManager
from tests.component.worker_harness import breathe, settings
from tests.e2e.waiting import until
from topics.catalog import STOCK_CHANGELOG

SHORT_SECONDS = 0.1
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


class _Worker:
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


@pytest.fixture
async def worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaths: list[str]
) -> AsyncIterator[_Worker]:
    there = _Worker(tmp_path, monkeypatch)
    await there.tasks.open()
    yield there
    assert not deaths
    there.read.set()
    there.consumer.idle.set()
    there.consumer.may_serve.set()
    await there.tasks.close()


@pytest.fixture
async def owner(worker: _Worker) -> _Worker:
    """A worker that serves both partitions."""
    await worker.assign({0, 1})
    await worker.serves({0, 1})
    worker.calls.clear()
    return worker


async def test_a_partition_is_served_when_its_rows_are_recovered(worker: _Worker):
    worker.read.clear()
    await worker.assign({0, 1})
    await breathe()
    assert worker.done("read", "recovered", "serve") == [("read", {0, 1})]
    assert not worker.store.active
    assert not worker.tasks.completed.is_set()
    worker.read.set()
    await worker.serves({0, 1})
    both = {0, 1}
    assert worker.done("recovered", "serve") == [("recovered", both), ("serve", both)]
    assert worker.tasks.completed.is_set()


async def test_a_partition_that_goes_is_drained_then_released_then_committed(
    owner: _Worker,
):
    owner.consumer.idle.clear()
    moving = asyncio.create_task(owner.assign({1}))
    await breathe()
    assert owner.done("revoke", "rows", "release") == [("revoke", {0})]
    assert owner.store.active == {0, 1}
    owner.consumer.idle.set()
    await moving
    assert owner.done("rows", "release") == [
        ("rows", {0, 1}),
        ("rows", {1}),
        ("release", {0}),
    ]
    assert owner.store.active == {1}


async def test_a_partition_that_stays_is_neither_revoked_nor_read(owner: _Worker):
    await owner.assign({1})
    await breathe()
    await owner.assign({0, 1})
    await owner.serves({0, 1})
    touched = owner.done("revoke", "release", "read", "serve")
    assert [partitions for name, partitions in touched if name != "serve"] == [{0}] * 3
    assert ("serve", {0}) in touched
    assert ("serve", {0, 1}) not in touched


async def test_a_partition_is_not_read_before_its_owner_has_released_it(worker: _Worker):
    worker.consumer.owned_elsewhere = {1}
    moving = asyncio.create_task(worker.assign({0, 1}, handed_over={1}))
    await until(lambda: len(worker.calls) > 2, "it looks again", 5)
    assert not moving.done()
    assert {call for call, _ in worker.calls} == {"await"}
    assert worker.calls[0] == ("await", {1})
    worker.consumer.owned_elsewhere.clear()
    await moving
    await worker.serves({0, 1})
    assert ("read", {0, 1}) in worker.calls


async def test_a_rebalance_ends_the_wait_for_a_release(worker: _Worker):
    """Its owner may have missed the plan, and serve the partition."""
    worker.consumer.owned_elsewhere = {1}
    moving = asyncio.create_task(worker.assign({0, 1}, handed_over={1}))
    await until(lambda: worker.calls, "it waits", 5)
    worker.consumer.is_rebalancing = True
    await moving
    await worker.serves({0})
    assert worker.done("read") == [("read", {0})]
    assert worker.tasks.member().owned == {0}


async def test_a_partition_without_an_owner_is_read_at_once(worker: _Worker):
    worker.consumer.owned_elsewhere = {0, 1}
    await worker.assign({0, 1})
    await worker.serves({0, 1})
    assert not worker.done("await")


async def test_a_partition_that_is_not_released_in_time_is_taken_over(
    worker: _Worker, caplog: pytest.LogCaptureFixture
):
    worker.settings.session_timeout_seconds = 2 * SHORT_SECONDS
    worker.consumer.owned_elsewhere = {1}
    await worker.assign({1}, handed_over={1})
    await worker.serves({1})
    assert "event=not-released partitions=1" in caplog.text


async def test_an_assignment_during_a_recovery_abandons_it_and_reads_again(
    worker: _Worker,
):
    worker.read.clear()
    await worker.assign({0})
    await breathe()
    await worker.assign({0, 1})
    worker.read.set()
    await worker.serves({0, 1})
    assert worker.done("read", "serve") == [
        ("read", {0}),
        ("read", {0, 1}),
        ("serve", {0, 1}),
    ]


async def test_an_assignment_awaits_a_recovery_that_has_read_all(worker: _Worker):
    worker.consumer.may_serve.clear()
    await worker.assign({0})
    await until(lambda: ("recovered", {0}) in worker.calls, "it has read all", 5)
    moving = asyncio.create_task(worker.assign({0, 1}))
    await breathe()
    assert not moving.done()
    worker.consumer.may_serve.set()
    await moving
    await worker.serves({0, 1})
    assert worker.done("read", "serve") == [
        ("read", {0}),
        ("serve", {0}),
        ("read", {1}),
        ("serve", {1}),
    ]


async def test_a_partition_that_goes_during_its_recovery_is_committed_as_it_was(
    worker: _Worker,
):
    worker.read.clear()
    await worker.assign({0})
    await breathe()
    await worker.assign(set())
    assert worker.done("revoke", "release") == [("revoke", {0}), ("release", {0})]
    assert not worker.store.offsets


async def test_a_lost_membership_gives_up_all_and_commits_nothing(owner: _Worker):
    owner.consumer.idle.clear()
    losing = asyncio.create_task(owner.tasks.handle_lost_all())
    await breathe()
    assert owner.done("revoke", "rows") == [("revoke", {0, 1})]
    owner.consumer.idle.set()
    await losing
    assert not owner.done("release")
    assert not owner.store.active
    assert not owner.store.offsets
    assert not owner.tasks.member().owned
    await owner.assign({0})
    await owner.serves({0})
    assert owner.done("read", "serve") == [("read", {0}), ("serve", {0})]


async def test_a_worker_that_stops_commits_its_partitions(owner: _Worker):
    await owner.tasks.close()
    assert owner.done("revoke", "release") == [("revoke", {0, 1}), ("release", {0, 1})]


async def test_a_worker_that_stops_during_a_rebalance_takes_nothing_over(worker: _Worker):
    worker.consumer.owned_elsewhere = {1}
    moving = asyncio.create_task(worker.assign({0, 1}, handed_over={1}))
    await until(lambda: worker.calls, "it waits for the release", 5)
    closing = asyncio.create_task(worker.tasks.close())
    await breathe()
    worker.consumer.owned_elsewhere.clear()
    await asyncio.gather(moving, closing)
    await worker.assign({0, 1})
    await breathe()
    assert not worker.store.active
    assert not worker.done("serve")


async def test_a_worker_that_stops_during_a_release_releases_each_partition_once(
    owner: _Worker,
):
    owner.consumer.idle.clear()
    moving = asyncio.create_task(owner.assign({1}))
    await breathe()
    closing = asyncio.create_task(owner.tasks.close())
    await breathe()
    owner.consumer.idle.set()
    await asyncio.gather(moving, closing)
    assert owner.done("release") == [("release", {0}), ("release", {1})]


async def test_a_lone_member_hands_nothing_over(owner: _Worker):
    owner.assignor.members = 1
    await owner.tasks.hand_over()
    assert not owner.consumer.rejoined
    assert not owner.tasks.member().leaving


async def test_a_member_hands_over_and_leaves(owner: _Worker):
    owner.assignor.members = 2
    leaving = asyncio.create_task(owner.tasks.hand_over())
    await breathe()
    assert owner.consumer.rejoined == [True]
    assert owner.tasks.member().leaving
    await owner.assign({1})  # the others are not warm for it
    await breathe()
    assert not leaving.done()
    await owner.assign(set())
    await leaving
    assert owner.done("release") == [("release", {0}), ("release", {1})]


async def test_a_member_that_cannot_hand_over_stops_anyway(
    owner: _Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(tasks, "HAND_OVER_SECONDS", SHORT_SECONDS)
    owner.assignor.members = 2
    await owner.tasks.hand_over()
    assert "event=not-handed-over partitions=0,1" in caplog.text


async def test_standbys_are_read_to_their_ends_before_they_are_served(worker: _Worker):
    await worker.assign(set(), standby={0, 1})
    await until(lambda: ("follow", {0, 1}) in worker.calls, "it follows", 5)
    worker.done()
    worker.standbys.by_partition = {0: 0, 1: 0}
    await worker.assign({1}, standby={0})
    await worker.serves({1})
    await until(lambda: ("follow", {0}) in worker.calls, "it follows", 5)
    assert worker.done("stop following", "read", "serve", "follow") == [
        ("stop following", set()),
        ("read", {1}),
        ("serve", {1}),
        ("follow", {0}),
    ]


async def test_a_member_joins_again_once_all_that_it_is_to_own_is_warm(worker: _Worker):
    await worker.assign(set(), standby={0, 1}, warming={0, 1})
    worker.standbys.by_partition = {0: 0}
    worker.standbys.on_progress()
    worker.standbys.by_partition = {0: 0, 1: WARM_RECORDS + 1}
    worker.standbys.on_progress()
    assert not worker.consumer.rejoined
    worker.standbys.by_partition = {0: 0, 1: WARM_RECORDS}
    for _ in range(2):
        worker.standbys.on_progress()
    assert worker.consumer.rejoined == [False]


async def test_a_member_without_warming_partitions_does_not_join_again(worker: _Worker):
    await worker.assign(set(), standby={0})
    worker.standbys.by_partition = {0: 0}
    worker.standbys.on_progress()
    assert not worker.consumer.rejoined


async def test_a_member_describes_what_it_owns_and_how_far_its_rows_lag(owner: _Worker):
    await owner.assign({1})
    owner.standbys.by_partition = {0: 5}
    member = owner.tasks.member()
    assert (member.owned, member.lags) == ({1}, {0: 5})
