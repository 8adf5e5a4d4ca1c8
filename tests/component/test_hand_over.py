"""How a worker hands over: to members that are warm, when it stops, or when it is lost."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agents.worker import tasks
from agents.worker.assignment import WARM_RECORDS
from tests.component.task_worker import Worker, opened
from tests.component.worker_harness import breathe
from tests.e2e.waiting import until

SHORT_SECONDS = 0.1


@pytest.fixture
async def worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaths: list[str]
) -> AsyncIterator[Worker]:
    async with opened(tmp_path, monkeypatch, deaths) as there:
        yield there


@pytest.fixture
async def owner(worker: Worker) -> Worker:
    """A worker that serves both partitions."""
    await worker.assign({0, 1})
    await worker.serves({0, 1})
    worker.calls.clear()
    return worker


async def test_a_worker_that_stops_commits_its_partitions(owner: Worker):
    await owner.tasks.close()
    assert owner.done("revoke", "release") == [("revoke", {0, 1}), ("release", {0, 1})]


async def test_a_worker_that_stops_during_a_rebalance_takes_nothing_over(worker: Worker):
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
    owner: Worker,
):
    owner.consumer.idle.clear()
    moving = asyncio.create_task(owner.assign({1}))
    await breathe()
    closing = asyncio.create_task(owner.tasks.close())
    await breathe()
    owner.consumer.idle.set()
    await asyncio.gather(moving, closing)
    assert owner.done("release") == [("release", {0}), ("release", {1})]


async def test_a_lone_member_hands_nothing_over(owner: Worker):
    owner.assignor.members = 1
    await owner.tasks.hand_over()
    assert not owner.consumer.rejoined
    assert not owner.tasks.member().leaving


async def test_a_member_hands_over_and_leaves(owner: Worker):
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
    owner: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(tasks, "HAND_OVER_SECONDS", SHORT_SECONDS)
    owner.assignor.members = 2
    await owner.tasks.hand_over()
    assert "event=not-handed-over partitions=0,1" in caplog.text


async def test_standbys_are_read_to_their_ends_before_they_are_served(worker: Worker):
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


async def test_a_member_joins_again_once_all_that_it_is_to_own_is_warm(worker: Worker):
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


async def test_a_member_without_warming_partitions_does_not_join_again(worker: Worker):
    await worker.assign(set(), standby={0})
    worker.standbys.by_partition = {0: 0}
    worker.standbys.on_progress()
    assert not worker.consumer.rejoined


async def test_a_member_describes_what_it_owns_and_how_far_its_rows_lag(owner: Worker):
    await owner.assign({1})
    owner.standbys.by_partition = {0: 5}
    member = owner.tasks.member()
    assert (member.owned, member.lags) == ({1}, {0: 5})
