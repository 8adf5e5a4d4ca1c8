"""A gateway on a real broker with a shop of the tests' own; a worker's inside; sinks."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from agents.worker.service import Service
from tests.component.door import Door, open_door
from tests.component.notifier import Notifier, StartNotifier
from tests.component.worker_harness import DiedError, WorkerHarness, settings
from tests.standins.mail_sink import MailSink
from tests.standins.shop import Shop, open_shop
from tests.standins.webhook_sink import WebhookSink
from topics.admin import create
from topics.kafka.settings import KafkaSettings

OpenGateway = Callable[..., Awaitable[Door]]


@pytest.fixture(scope="session")
def cluster(kafka: str) -> KafkaSettings:
    """A cluster with all the topics of the shop."""
    there = KafkaSettings(kafka=kafka, partitions=2)
    asyncio.run(create(there))
    return there


@pytest.fixture
async def shop(cluster: KafkaSettings) -> AsyncIterator[Shop]:
    """Who answers, or doesn't, to what the gateway asks."""
    async with open_shop(cluster.kafka) as opened:
        yield opened


@pytest.fixture
async def untouched_shop(shop: Shop) -> AsyncIterator[None]:
    """A shop that must not be sent any request in this test."""
    before = await shop.ends()
    yield
    assert await shop.ends() == before


@pytest.fixture
async def open_gateway(cluster: KafkaSettings) -> AsyncIterator[OpenGateway]:
    """Make a gateway with settings of its own; it is closed after the test."""
    async with AsyncExitStack() as stack:

        async def open_one(**settings) -> Door:
            return await stack.enter_async_context(open_door(cluster, **settings))

        yield open_one


@pytest.fixture
async def gateway(open_gateway: OpenGateway) -> Door:
    """A gateway, ready to be called."""
    return await open_gateway()


@pytest.fixture
async def untouched(gateway: Door, shop: Shop) -> AsyncIterator[Door]:
    """A gateway that must not send any request in this test."""
    before = await shop.ends()
    yield gateway
    assert await shop.ends() == before


@pytest.fixture
def deaths(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Why the worker has died: in these tests that does not end the process."""
    reasons: list[str] = []

    def end(_: int) -> None:
        reasons.append(caplog.messages[-1])
        raise DiedError(reasons[-1])

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(logging, "shutdown", lambda: None)
    return reasons


@pytest.fixture
async def harness(tmp_path: Path, deaths: list[str]) -> AsyncIterator[WorkerHarness]:
    """A worker's inside without a broker."""
    there = WorkerHarness(Service("loms", settings(tmp_path)))
    yield there
    await there.close()


@pytest.fixture
async def start(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[StartNotifier]:
    """Start a notification agent that owns all records."""
    monkeypatch.setattr("agents.runtime.router.partition_of", lambda *_: 0)
    started: list[Notifier] = []

    async def begin(**settings) -> Notifier:
        notifier = Notifier(harness, **settings)
        started.append(notifier)
        await notifier.start()
        return notifier

    yield begin
    for notifier in started:
        await notifier.agent.stop()


@pytest.fixture
async def mails() -> AsyncIterator[MailSink]:
    """A mail server."""
    sink = MailSink()
    await sink.start()
    yield sink
    await sink.stop()


@pytest.fixture
async def hook() -> AsyncIterator[WebhookSink]:
    """Somebody's webhook."""
    sink = WebhookSink()
    await sink.start()
    yield sink
    sink.gate.set()
    await sink.stop()
