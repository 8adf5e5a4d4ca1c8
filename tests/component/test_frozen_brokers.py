"""Tools and pages at a broker that is frozen (SIGSTOP): ten seconds, then its name."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from agents.ui.app import application
from tests.component.tools import begun, end, program, run
from tests.standins.shop import open_shop
from topics.admin import create
from topics.answering import NoAnswerError, answered
from topics.broker.embedded import EmbeddedKafka, free_place
from topics.cluster import Cluster

LIMIT_SECONDS = 10.0
SLACK_SECONDS = 8.0  # a tool starts slowly on a machine that is busy
DONE = {"type": "done"}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A broker of these tests' own, with all topics."""
    broker = EmbeddedKafka(free_place(tmp_path_factory.mktemp("to freeze")))
    try:
        broker.start_and_wait()
        asyncio.run(create(Cluster(kafka=broker.bootstrap, partitions=2)))
        yield broker
    finally:
        broker.kill()


@pytest.fixture
def cluster(broker: EmbeddedKafka) -> Cluster:
    return Cluster(kafka=broker.bootstrap, partitions=2)


@contextmanager
def frozen(broker: EmbeddedKafka) -> Iterator[None]:
    os.kill(broker.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker.process.pid, signal.SIGCONT)


@pytest.fixture
def goods(tmp_path: Path) -> str:
    file = tmp_path / "goods.csv"
    file.write_text("sku,warehouseID,count\n1,1,5\n2,1,5\n3,1,5\n")
    return str(file)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("agents dlq list", 1),
        ("agents dlq show cart.dlq-0@0", 1),
        ("agents dlq replay --yes cart.dlq-0@0", 1),
        ("agents stock load --yes", 1),
        ("agents forget 1 --yes", 1),
        ("agents ui --port 31999", 1),
        ("topics check", 1),
        ("topics create --yes", 1),
        ("agents.audit --no-questions", 2),
    ],
)
async def test_a_tool_ends_after_ten_seconds_with_the_address_of_the_broker(
    broker: EmbeddedKafka, cluster: Cluster, goods: str, words: str, code: int
):
    file = [goods] if "stock" in words else []
    began = time.monotonic()
    with frozen(broker):
        async with program(cluster, *words.split(), *file) as process:
            ended, _, err = await end(process)
    seconds = time.monotonic() - began
    assert ended == code
    line = f"Kafka at {broker.bootstrap} does not answer within 10 s"
    assert err.splitlines()[-1].partition(": ")[2] == line
    assert LIMIT_SECONDS - 1 < seconds < LIMIT_SECONDS + SLACK_SECONDS
