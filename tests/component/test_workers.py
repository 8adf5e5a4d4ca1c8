"""Workers as processes: too many, before Kafka, refused by it, or misconfigured."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agents.runtime.fail_stop import EXIT_CODE
from tests.e2e.waiting import until
from tests.standins.broker import free_port
from topics.kafka.settings import KafkaSettings

READY = re.compile(r"ready partitions=(\d+)")
RECOVERED = re.compile(r"event=recovered rows=(\d+)")
WITHIN_SECONDS = 240.0
_LOOK_SECONDS = 0.1


class Worker:
    """A worker of the service in its name, and its output."""

    def __init__(
        self, cluster: KafkaSettings, name: str, directory: Path, **different: str
    ):
        self.log = directory / f"{name}.log"
        own = {"KAFKA": cluster.kafka, "PARTITIONS": str(cluster.partitions)}
        own |= {"WORKER": name, "STATE_DIR": str(directory / name), **different}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agents", name.partition("-")[0]],
                env={**os.environ, **own},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        """The whole log."""
        return self.log.read_text()

    @property
    def partitions(self) -> int | None:
        """How many it got the last time; None before the first."""
        assert self.process.poll() is None, self.output[-2000:]
        ready = READY.findall(self.output)
        return int(ready[-1]) if ready else None

    @property
    def recovered(self) -> list[int]:
        """How many rows it read, each time."""
        return [int(rows) for rows in RECOVERED.findall(self.output)]

    async def ends(self) -> int | None:
        """Wait until it has ended; return its exit code, or None if it begins to work."""
        try:
            await until(self._has_decided, "it ends or works", WITHIN_SECONDS)
            return self.process.poll()
        finally:
            self.process.kill()
            self.process.wait(90)

    def _has_decided(self) -> bool:
        return self.process.poll() is not None or READY.search(self.output) is not None


@pytest.fixture
async def workers(cluster: KafkaSettings, tmp_path: Path) -> AsyncIterator[list[Worker]]:
    """One worker more than there are partitions."""
    names = [f"checkout-{n}" for n in range(cluster.partitions + 1)]
    started = [Worker(cluster, name, tmp_path) for name in names]
    yield started
    for worker in started:
        worker.process.terminate()
    for worker in started:
        worker.process.wait(90)


async def test_a_worker_without_partitions_keeps_running(
    workers: list[Worker], cluster: KafkaSettings
):
    busy = [1] * cluster.partitions
    async with asyncio.timeout(WITHIN_SECONDS):
        while sorted(_partitions(workers)) != [0, *busy]:  # noqa: ASYNC110 -- a log file
            await asyncio.sleep(_LOOK_SECONDS)


@pytest.mark.parametrize("service", ["checkout", "loms", "products", "notifications"])
async def test_a_worker_with_a_wrong_number_of_partitions_ends(
    cluster: KafkaSettings, service: str, tmp_path: Path
):
    wrong = str(cluster.partitions * 2)
    worker = Worker(cluster, f"{service}-1", tmp_path, PARTITIONS=wrong)
    ends = await worker.ends()
    why = r"event=fail-stop reason='PARTITIONS is wrong: [a-z.-]+: 2 partitions, not 4"
    assert re.search(why, worker.output), worker.output
    assert ends == EXIT_CODE


def _partitions(workers: list[Worker]) -> list[int]:
    """Return the number of each worker's partitions; -1 before its assignment."""
    numbers = (worker.partitions for worker in workers)
    return [-1 if number is None else number for number in numbers]


async def test_a_worker_waits_for_kafka_and_can_be_stopped(
    tmp_path: Path,
):
    nowhere = KafkaSettings(kafka=f"127.0.0.1:{free_port()}")
    worker = Worker(nowhere, "checkout-1", tmp_path)
    await until(lambda: "event=kafka-unreachable" in worker.output, "it waits", 60)
    worker.process.terminate()
    assert worker.process.wait(90) == 0, worker.output


async def test_a_worker_whose_session_timeout_kafka_refuses_logs_it_and_ends(
    cluster: KafkaSettings, tmp_path: Path
):
    worker = Worker(cluster, "checkout-9", tmp_path, SESSION_TIMEOUT_SECONDS="1")
    assert await worker.ends() == EXIT_CODE
    assert "SESSION_TIMEOUT_SECONDS is outside" in worker.output
