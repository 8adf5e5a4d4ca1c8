"""Each process logs an outage of its broker: a line at the start, one at the end."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.waiting import until
from tests.standins.broker import EmbeddedKafka, free_port
from topics.admin import create
from topics.kafka.settings import KafkaSettings

READY = re.compile(r"event=ready partitions=|event=listening")
GONE = re.compile(r"event=kafka-unreachable broker=(\S+) reason=(['\"]).+\2$", re.MULTILINE)
BACK = re.compile(
    r"event=kafka-reachable broker=(\S+) after_seconds=([0-9.]+) suppressed=(\d+)"
)
AWAY_SECONDS = 15.0
WITHIN_SECONDS = 120.0
WORKERS = ("checkout", "loms", "products", "notifications")


class Logged:
    """A process whose lines are in a file."""

    def __init__(self, log: Path, *words: str, **environment: str) -> None:
        self._log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *words],
                env={**os.environ, **environment},
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    @property
    def lines(self) -> list[str]:
        """All so far."""
        return self._log.read_text().splitlines()

    async def writes(self, pattern: re.Pattern[str], after: int = 0) -> re.Match[str]:
        """Wait for a line after so many others."""

        def look() -> re.Match[str] | None:
            assert self.process.poll() is None, self.lines[-20:]
            return pattern.search("\n".join(self.lines[after:]))

        return await until(look, f"{self._log.stem}: {pattern.pattern}", WITHIN_SECONDS)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """A broker that this test may kill."""
    broker = EmbeddedKafka(tmp_path / "kafka")
    broker.start_and_wait()
    asyncio.run(create(KafkaSettings(kafka=broker.bootstrap, partitions=2)))
    yield broker
    broker.stop()


@pytest.fixture
async def processes(broker: EmbeddedKafka, tmp_path: Path) -> AsyncIterator[list[Logged]]:
    """A worker of each service, and a gateway; all of them serve."""
    common = {"KAFKA": broker.bootstrap, "PARTITIONS": "2"}
    started = [
        Logged(
            tmp_path / f"{name}.log",
            *("agents", name),
            **common,
            WORKER=f"{name}-1",
            STATE_DIR=str(tmp_path / name),
        )
        for name in WORKERS
    ]
    gateway = Logged(tmp_path / "gateway.log", "gateway", **common, GATEWAY_PORT="0")
    started.append(gateway)
    for one in started:
        await one.writes(READY)
    yield started
    for one in started:
        one.process.terminate()
    for one in started:
        one.process.wait(90)


async def test_an_outage_is_a_line_when_it_begins_and_one_when_it_ends(
    broker: EmbeddedKafka, processes: list[Logged]
):
    before = [len(one.lines) for one in processes]
    broker.kill()
    for one, served in zip(processes, before, strict=True):
        assert (await one.writes(GONE, served))[1] == broker.bootstrap
    await asyncio.sleep(AWAY_SECONDS)
    written = [one.lines[served:] for one, served in zip(processes, before, strict=True)]
    assert [len(lines) for lines in written] == [1] * len(processes), written
    broker.start()
    await broker.ready()
    for one, served in zip(processes, before, strict=True):
        back = await one.writes(BACK, served)
        assert back[1] == broker.bootstrap
        assert AWAY_SECONDS <= float(back[2]) <= WITHIN_SECONDS
        assert int(back[3]) > AWAY_SECONDS
        events = [line for line in one.lines[served:] if "event=kafka-" in line]
        assert len(events) == 2, events


async def test_a_worker_that_starts_before_kafka_logs_it_once(tmp_path: Path):
    broker = EmbeddedKafka(tmp_path / "kafka")
    nowhere = {"KAFKA": broker.bootstrap, "STATE_DIR": str(tmp_path / "state")}
    worker = Logged(tmp_path / "worker.log", "agents", "checkout", **nowhere)
    try:
        assert (await worker.writes(GONE))[1] == broker.bootstrap
        broker.start()
        await broker.ready()
        await create(KafkaSettings(kafka=broker.bootstrap))
        await worker.writes(BACK)
        warnings = [line for line in worker.lines if "level=INFO" not in line]
        assert sum("event=kafka-unreachable" in line for line in warnings) == 1, warnings
    finally:
        worker.process.kill()
        worker.process.wait(90)
        broker.stop()


async def test_the_kafka_ui_logs_an_outage_as_well(broker: EmbeddedKafka, tmp_path: Path):
    port = free_port()
    words = ("agents", "ui", "--port", str(port))
    ui = Logged(tmp_path / "ui.log", *words, KAFKA=broker.bootstrap)
    try:
        await ui.writes(re.compile("Ctrl-C ends it"))
        begin = len(ui.lines)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as browser:
            broker.kill()
            for _ in range(10):
                async with browser.get("/") as page:
                    assert page.status == HTTPStatus.GATEWAY_TIMEOUT
            assert len(ui.lines[begin:]) == 1
            assert (await ui.writes(GONE, begin))[1] == broker.bootstrap
            broker.start()
            await broker.ready()

            async def is_back() -> bool:
                async with browser.get("/") as page:
                    await page.read()
                return BACK.search(ui.lines[-1]) is not None

            await until(is_back, "it is logged that Kafka is back", WITHIN_SECONDS)
            assert len(ui.lines[begin:]) == 2
    finally:
        ui.process.terminate()
        ui.process.wait(90)


@pytest.mark.parametrize(
    "words",
    [("topics", "check"), ("agents", "dlq", "list"), ("agents.ops.audit",)],
    ids=str,
)
def test_a_tool_without_a_broker_ends_with_one_line_behind_that_of_its_cluster(
    words: tuple[str, ...],
):
    ran = subprocess.run(
        [sys.executable, "-m", *words],
        env={**os.environ, "KAFKA": "127.0.0.1:1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode > 0
    cluster, reason = (ran.stdout + ran.stderr).splitlines()
    assert cluster.endswith("Kafka at 127.0.0.1:1, the cluster of KAFKA")
    assert "Kafka at 127.0.0.1:1: [Errno 111] Connect" in reason
