"""A fetch that lets go first what the one before it brought."""

import asyncio

import pytest
from aiokafka.consumer import consumer, fetcher

from agents.worker.app import create_app
from agents.worker.clients import YIELDS, YieldingFetcher
from agents.worker.settings import WorkerSettings


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done, in order."""
    done: list[str] = []

    async def ask(_self: object, *what: str) -> bool:
        done.extend(what)
        return True

    monkeypatch.setattr(fetcher.Fetcher, "_proc_fetch_request", ask)
    return done


def fetching() -> asyncio.Task[bool]:
    polite = YieldingFetcher.__new__(YieldingFetcher)
    return asyncio.create_task(polite._proc_fetch_request("asked"))  # noqa: SLF001


async def test_ready_tasks_run_before_the_next_fetch(asked: list[str]):
    async def serve() -> None:
        for _ in range(YIELDS - 1):
            await asyncio.sleep(0)
        asked.append("served")

    asking, serving = fetching(), asyncio.create_task(serve())
    assert await asking
    await serving
    assert asked == ["served", "asked"]


async def test_a_cancelled_fetch_returns_no_data(asked: list[str]):
    asking = fetching()
    await asyncio.sleep(0)
    asking.cancel()
    # aiokafka takes the result of it: an exception would be the end of all fetching.
    assert await asking is False
    assert asked == []


def test_workers_use_this_fetcher(monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setattr(consumer, "Fetcher", fetcher.Fetcher)
    create_app("checkout", WorkerSettings(state_dir=tmp_path))
    assert consumer.Fetcher is YieldingFetcher
