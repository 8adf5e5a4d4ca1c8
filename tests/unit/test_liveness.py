"""Heartbeats to the brokers of a cluster, while work runs."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from topics.kafka import liveness
from topics.kafka.liveness import NotRespondingError, run_supervised
from topics.kafka.settings import KafkaSettings

FIRST, SECOND = "[::1]:9092", "[fd00::2]:9094"
BROKERS = [(0, "::1", 9092, None), (1, "fd00::2", 9094, None)]
CLUSTER = KafkaSettings(kafka=FIRST)


class Brokers:
    """Two brokers with IPv6 addresses."""

    def __init__(self, *silent: str) -> None:
        self.silent = silent
        self.reached = set[str]()

    async def connect(self, address: str, _: object) -> Any:
        if address in self.silent:
            await asyncio.Event().wait()
        self.reached.add(address)
        return SimpleNamespace(send=self.send, close=lambda: None)

    async def send(self, _: object) -> Any:
        return SimpleNamespace(brokers=BROKERS)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "LIMIT_SECONDS", 0.2)
    monkeypatch.setattr(liveness, "_INTERVAL_SECONDS", 0.02)


async def test_each_broker_of_the_cluster_gets_heartbeats(monkeypatch):
    brokers = Brokers()
    monkeypatch.setattr(liveness, "connect", brokers.connect)

    async def work(_: KafkaSettings) -> str:
        while brokers.reached != {FIRST, SECOND}:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return "done"

    async with asyncio.timeout(10):
        assert await run_supervised(CLUSTER, work) == "done"


async def test_work_ends_at_a_silent_broker_which_is_named(monkeypatch):
    monkeypatch.setattr(liveness, "connect", Brokers(SECOND).connect)
    message = r"^Kafka at \[fd00::2\]:9094 does not answer within 0.2 s$"
    with pytest.raises(NotRespondingError, match=message):
        await run_supervised(CLUSTER, lambda _: asyncio.sleep(60))
