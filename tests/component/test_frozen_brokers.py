"""Tools and pages at a broker that is frozen (SIGSTOP): ten seconds, then its name."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from tests.component.tools import Ended, begun, end, program
from tests.standins.broker import EmbeddedKafka
from tests.standins.shop import open_shop
from topics.admin import create
from topics.catalog import CART_REQUESTS
from topics.kafka import liveness
from topics.kafka.liveness import run_supervised
from topics.kafka.settings import KafkaSettings
from topics.ui import application

LIMIT_SECONDS = 10.0
SLACK_SECONDS = 15.0  # several tools run at once, on a machine that is busy
WITHIN_SECONDS = 60.0
DONE = {"type": "done"}
TOOLS = {
    "agents dlq list": 1,
    "agents dlq show cart.dlq-0@0": 1,
    "agents dlq replay --yes cart.dlq-0@0": 1,
    "agents stock load --yes GOODS": 1,
    "agents forget 1 --yes": 1,
    "agents ui --port 31999": 1,
    "topics check": 1,
    "topics create --yes": 1,
    "agents.ops.audit --no-questions": 2,
}
"""Each command, and its exit code."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """Start a broker for these tests alone, with all topics."""
    broker = EmbeddedKafka(tmp_path_factory.mktemp("to freeze"))
    try:
        broker.start_and_wait()
        asyncio.run(create(KafkaSettings(kafka=broker.bootstrap, partitions=2)))
        yield broker
    finally:
        broker.kill()


@pytest.fixture
def cluster(broker: EmbeddedKafka) -> KafkaSettings:
    return KafkaSettings(kafka=broker.bootstrap, partitions=2)


@pytest.fixture
def goods(tmp_path: Path) -> str:
    file = tmp_path / "goods.csv"
    file.write_text("sku,warehouseID,count\n1,1,5\n2,1,5\n3,1,5\n")
    return str(file)


@contextmanager
def frozen(broker: EmbeddedKafka) -> Iterator[None]:
    os.kill(broker.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker.process.pid, signal.SIGCONT)


def silent(broker: EmbeddedKafka) -> str:
    """Return the error message for a broker that does not answer."""
    return f"Kafka at {broker.bootstrap} does not answer within 10 s"


async def test_tools_end_after_ten_seconds_with_the_address_of_the_broker(
    broker: EmbeddedKafka, cluster: KafkaSettings, goods: str
):
    async def run_tool(words: str) -> tuple[Ended, float]:
        """Return the tool's result, and the seconds since it named the cluster."""
        given = words.replace("GOODS", goods).split()
        async with program(cluster, *given) as process:
            first = process.stdout if "audit" in words else process.stderr
            assert broker.bootstrap.encode() in await first.readline()
            began = time.monotonic()
            return await end(process), time.monotonic() - began

    with frozen(broker):
        ended = await asyncio.gather(*map(run_tool, TOOLS))
    for (words, wanted), ((code, _, err), seconds) in zip(
        TOOLS.items(), ended, strict=True
    ):
        assert code == wanted, words
        assert err.partition(": ")[2] == f"{silent(broker)}\n"
        assert LIMIT_SECONDS <= seconds < LIMIT_SECONDS + SLACK_SECONDS, words


async def test_a_running_load_reports_confirmed_lines_and_the_silent_broker(
    broker: EmbeddedKafka, cluster: KafkaSettings, goods: str
):
    words = ["stock", "load", "--yes", goods, "--patience", "600"]
    async with open_shop(cluster.kafka) as shop, begun(cluster, *words) as process:
        first, *_ = await shop.requests(3)
        await shop.reply(first, DONE)
        # The load may not have read the reply yet.
        with frozen(broker):
            code, out, err = await end(process)
    assert (code, err) == (1, "")
    given_up, counts, again = out.decode().splitlines()
    assert given_up == f"given up: {silent(broker)}"
    assert counts in ("1 loaded, 2 in flight or not sent", "3 in flight or not sent")
    assert again == "run the command again to load the rest: no line is loaded twice"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/topics/cart.dlq"), ("POST", "/topics/cart.requests")],
)
async def test_a_page_names_the_broker_and_shows_all_again_when_it_answers(
    broker: EmbeddedKafka, cluster: KafkaSettings, method: str, path: str
):
    server = TestServer(application(cluster), host="127.0.0.1")
    form = {"value": "{}"} if method == "POST" else None
    async with TestClient(server) as browser:
        with frozen(broker):
            async with browser.request(method, path, data=form) as response:
                assert response.status == 504
                assert await response.text() == silent(broker)
        async with asyncio.timeout(WITHIN_SECONDS):
            # The broker has to register again.
            while await status(browser) != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.2)


async def status(browser: TestClient) -> int:
    async with browser.get("/") as response:
        return response.status


async def test_a_slow_response_of_a_broker_that_is_alive_is_no_silence(
    cluster: KafkaSettings, monkeypatch: pytest.MonkeyPatch
):
    hurry(monkeypatch)

    async def wait_for_nothing(there: KafkaSettings) -> str:
        """Wait for records that do not arrive, in one request of three seconds."""
        consumer = AIOKafkaConsumer(
            CART_REQUESTS.name, bootstrap_servers=there.kafka, fetch_max_wait_ms=3000
        )
        async with consumer:
            await consumer.seek_to_end()
            await consumer.getmany(timeout_ms=2500)
        return "done"

    assert await run_supervised(cluster, wait_for_nothing) == "done"


async def test_a_long_computation_in_the_process_is_no_silence_of_a_broker(
    cluster: KafkaSettings, monkeypatch: pytest.MonkeyPatch
):
    hurry(monkeypatch)

    async def compute(there: KafkaSettings) -> str:
        admin = AIOKafkaAdminClient(bootstrap_servers=there.kafka)
        await admin.start()
        requests = [asyncio.create_task(admin.list_topics()) for _ in range(3)]
        await asyncio.sleep(0)
        time.sleep(2)  # noqa: ASYNC251 -- as folding a long log does
        await asyncio.gather(*requests)
        await admin.close()
        return "done"

    assert await run_supervised(cluster, compute) == "done"


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report a broker as silent after less than a second."""
    monkeypatch.setattr(liveness, "LIMIT_SECONDS", 0.8)
    monkeypatch.setattr(liveness, "_INTERVAL_SECONDS", 0.1)
