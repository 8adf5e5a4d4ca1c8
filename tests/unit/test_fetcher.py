# ruff: noqa: SLF001 -- of aiokafka
"""Fetches: their sessions, the time between them, and how long an idle one lasts."""

import asyncio
from collections import defaultdict
from io import BytesIO
from types import SimpleNamespace

import pytest
from aiokafka.consumer import consumer, fetcher
from aiokafka.protocol.fetch import FetchRequest_v11, FetchResponse_v11
from aiokafka.structs import TopicPartition

from agents.worker.app import create_app
from agents.worker.fetcher import (
    MAX_IDLE_WAIT_MS,
    SECONDS_BY_PARTITION,
    YIELDS,
    FetchSession,
    SessionFetch,
    SessionFetcher,
)
from agents.worker.settings import WorkerSettings

A, B, C = (TopicPartition("t", number) for number in range(3))
ID, OTHER_ID = 77, 78
SESSION_ID_NOT_FOUND = 70


def sent(session: FetchSession, positions: dict[TopicPartition, int]) -> SimpleNamespace:
    """Return what the next request of a session has."""
    fetch = SessionFetch(session, (50, 1, 1000, 0), dict(positions), 99)
    request = FetchRequest_v11.decode(BytesIO(fetch.encode()))
    return SimpleNamespace(
        fetch=fetch,
        session=(request.session_id, request.session_epoch),
        positions={
            TopicPartition(topic, number): offset
            for topic, partitions in request.topics
            for number, _, offset, _, _ in partitions
        },
        removed={
            TopicPartition(topic, number)
            for topic, numbers in request.forgotten_topics_data
            for number in numbers
        },
    )


def answer(
    fetch: SessionFetch, *news: tuple[int, bytes], error: int = 0, session: int = ID
):
    partitions = [(number, 0, 9, 9, 0, [], -1, records) for number, records in news]
    response = FetchResponse_v11(0, error, session, [("t", partitions)])
    return fetch.decode(BytesIO(response.encode()))


def test_a_session_begins_with_all_partitions_and_goes_on_with_changed_ones():
    session = FetchSession()
    first = sent(session, {A: 1, B: 2})
    assert (first.session, first.positions) == ((0, 0), {A: 1, B: 2})
    answer(first.fetch, (0, b"records"))
    second = sent(session, {A: 5, B: 2, C: 3})
    assert (second.session, second.positions) == ((ID, 1), {A: 5, C: 3})
    assert second.removed == set()
    answer(second.fetch)
    third = sent(session, {A: 5, C: 3})
    assert (third.session, third.positions, third.removed) == ((ID, 2), {}, {B})


def test_a_response_tells_aiokafka_the_requested_offsets_of_its_partitions():
    session = FetchSession()
    fetch = sent(session, {A: 1, B: 2}).fetch
    assert fetch.topics == []
    response = answer(fetch, (1, b"records"))
    assert fetch.topics == [("t", [(1, 2, 0)])]
    [(_, [(number, *_, records)])] = response.topics
    assert (number, records) == (1, b"records")


def test_a_broker_that_has_lost_the_session_gets_a_new_one():
    session = FetchSession()
    answer(sent(session, {A: 1}).fetch)
    lost = sent(session, {A: 2})
    response = answer(lost.fetch, (0, b"no"), error=SESSION_ID_NOT_FOUND, session=0)
    assert response.topics == []
    again = sent(session, {A: 2})
    assert (again.session[1], again.positions) == (0, {A: 2})
    answer(again.fetch, session=OTHER_ID)
    assert sent(session, {A: 2}).session == (OTHER_ID, 1)


def test_a_request_without_a_response_ends_the_session():
    session = FetchSession()
    answer(sent(session, {A: 1, B: 1}).fetch)
    sent(session, {A: 2, B: 1})
    session.reset()
    again = sent(session, {A: 2, B: 1})
    assert (again.session, again.positions) == ((ID, 0), {A: 2, B: 1})


def test_without_a_session_each_request_has_all_partitions():
    session = FetchSession()
    answer(sent(session, {A: 1}).fetch, session=0)
    again = sent(session, {A: 1})
    assert (again.session, again.positions) == ((0, 0), {A: 1})


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each fetch brings records; the last one lasts."""
    news = [True]

    async def fetch(_self: object, _assignment: object, _node: int, request: str) -> bool:
        DONE.append(request)
        return news.pop(0) if len(news) > 1 else news[0]

    DONE.clear()
    monkeypatch.setattr(fetcher.Fetcher, "_proc_fetch_request", fetch)
    return news


DONE: list[object] = []
"""The work that was done, in order."""


@pytest.fixture
def fetching() -> SessionFetcher:
    bare = SessionFetcher.__new__(SessionFetcher)
    bare._fetch_max_wait_ms = bare._wait_ms = 50
    bare._fetched_at = defaultdict(float)
    bare._sessions = defaultdict(FetchSession)
    return bare


def start(fetching: SessionFetcher, partitions: int = 1) -> asyncio.Task[bool]:
    request = SimpleNamespace(is_pending=False, positions=range(partitions))
    return asyncio.create_task(fetching._proc_fetch_request(None, 1, request))


async def test_ready_tasks_run_before_the_next_fetch(answers, fetching):
    async def process() -> None:
        for _ in range(YIELDS - 1):
            await asyncio.sleep(0)
        DONE.append("processed")

    task, processing = start(fetching), asyncio.create_task(process())
    assert await task
    await processing
    assert DONE[0] == "processed"
    assert len(DONE) == 2


async def test_a_cancelled_fetch_returns_no_data(answers, fetching):
    task = start(fetching)
    await asyncio.sleep(0)
    task.cancel()
    # aiokafka takes the result of it: an exception would be the end of all fetching.
    assert await task is False
    assert DONE == []


async def test_a_failed_fetch_ends_its_session(monkeypatch, fetching):
    async def fail(_self: object, _assignment: object, _node: int, request: SessionFetch):
        request.encode()
        return False

    monkeypatch.setattr(fetcher.Fetcher, "_proc_fetch_request", fail)
    session = fetching._sessions[1]
    answer(sent(session, {A: 1}).fetch)
    request = SessionFetch(session, (50, 1, 1000, 0), {A: 2}, 99)
    assert not await fetching._proc_fetch_request(None, 1, request)
    assert sent(session, {A: 2}).session == (ID, 0)


async def test_fetches_of_many_partitions_are_further_apart(answers, fetching):
    loop, partitions = asyncio.get_running_loop(), 5_000
    await start(fetching, partitions)
    began = loop.time()
    await start(fetching, partitions)
    assert loop.time() - began > partitions * SECONDS_BY_PARTITION / 2


async def test_fetches_of_work_that_can_wait_are_further_apart(answers, fetching):
    loop, fetching.interval = asyncio.get_running_loop(), 0.1
    await start(fetching)
    began = loop.time()
    await start(fetching)
    assert loop.time() - began > fetching.interval / 2


async def test_an_idle_fetch_lasts_longer_each_time_until_there_are_records(
    answers, fetching
):
    answers[:] = [False] * 6
    waits = []
    for _ in range(6):
        await start(fetching)
        waits.append(fetching._wait_ms)
    assert waits[:2] == [100, 200]
    assert waits[-1] == MAX_IDLE_WAIT_MS
    answers[:] = [True]
    await start(fetching)
    assert fetching._wait_ms == 50


def test_workers_use_this_fetcher(monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setattr(consumer, "Fetcher", fetcher.Fetcher)
    create_app("checkout", WorkerSettings(state_dir=tmp_path))
    assert consumer.Fetcher is SessionFetcher
