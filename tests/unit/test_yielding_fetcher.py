"""A fetch that begins after the records of the last one are processed."""

import asyncio

import pytest
from aiokafka.consumer import consumer, fetcher

from agents.worker.app import create_app
from agents.worker.clients import YIELDS, YieldingFetcher
from agents.worker.settings import WorkerSettings


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The work that was done, in order."""
    done: list[str] = []

    async def fetch(_self: object, *what: str) -> bool:
        done.extend(what)
        return True

    monkeypatch.setattr(fetcher.Fetcher, "_proc_fetch_request", fetch)
    return done


def fetching() -> asyncio.Task[bool]:
    yielding = YieldingFetcher.__new__(YieldingFetcher)
    return asyncio.create_task(yielding._proc_fetch_request("fetched"))  # noqa: SLF001


async def test_ready_tasks_run_before_the_next_fetch(fetched: list[str]):
    async def process() -> None:
        for _ in range(YIELDS - 1):
            await asyncio.sleep(0)
        fetched.append("processed")

    task, processing = fetching(), asyncio.create_task(process())
    assert await task
    await processing
    assert fetched == ["processed", "fetched"]


async def test_a_cancelled_fetch_returns_no_data(fetched: list[str]):
    task = fetching()
    await asyncio.sleep(0)
    task.cancel()
    # aiokafka takes the result of it: an exception would be the end of all fetching.
    assert await task is False
    assert fetched == []


def test_workers_use_this_fetcher(monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setattr(consumer, "Fetcher", fetcher.Fetcher)
    create_app("checkout", WorkerSettings(state_dir=tmp_path))
    assert consumer.Fetcher is YieldingFetcher
