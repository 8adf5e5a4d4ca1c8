"""How a worker carries out the plans of its group: releases, take-overs, warm-ups."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

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


async def test_a_partition_is_served_when_its_rows_are_recovered(worker: Worker):
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
    owner: Worker,
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


async def test_a_partition_that_stays_is_neither_revoked_nor_read(owner: Worker):
    await owner.assign({1})
    await breathe()
    await owner.assign({0, 1})
    await owner.serves({0, 1})
    touched = owner.done("revoke", "release", "read", "serve")
    assert [partitions for name, partitions in touched if name != "serve"] == [{0}] * 3
    assert ("serve", {0}) in touched
    assert ("serve", {0, 1}) not in touched


async def test_a_partition_is_not_read_before_its_owner_has_released_it(worker: Worker):
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


async def test_a_rebalance_ends_the_wait_for_a_release(worker: Worker):
    """Its owner may have missed the plan, and serve the partition."""
    worker.consumer.owned_elsewhere = {1}
    moving = asyncio.create_task(worker.assign({0, 1}, handed_over={1}))
    await until(lambda: worker.calls, "it waits", 5)
    worker.consumer.is_rebalancing = True
    await moving
    await worker.serves({0})
    assert worker.done("read") == [("read", {0})]
    assert worker.tasks.member().owned == {0}


async def test_a_partition_without_an_owner_is_read_at_once(worker: Worker):
    worker.consumer.owned_elsewhere = {0, 1}
    await worker.assign({0, 1})
    await worker.serves({0, 1})
    assert not worker.done("await")


async def test_a_partition_that_is_not_released_in_time_is_taken_over(
    worker: Worker, caplog: pytest.LogCaptureFixture
):
    worker.settings.session_timeout_seconds = 2 * SHORT_SECONDS
    worker.consumer.owned_elsewhere = {1}
    await worker.assign({1}, handed_over={1})
    await worker.serves({1})
    assert "event=not-released partitions=1" in caplog.text


async def test_an_assignment_during_a_recovery_abandons_it_and_reads_again(
    worker: Worker,
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


async def test_an_assignment_awaits_a_recovery_that_has_read_all(worker: Worker):
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
    worker: Worker,
):
    worker.read.clear()
    await worker.assign({0})
    await breathe()
    await worker.assign(set())
    assert worker.done("revoke", "release") == [("revoke", {0}), ("release", {0})]
    assert not worker.store.offsets


async def test_a_lost_membership_gives_up_all_and_commits_nothing(owner: Worker):
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
