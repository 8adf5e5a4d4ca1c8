"""`python -m agents status` on a cluster with workers, and when a group has none left."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.component.test_workers import Worker
from tests.component.tools import run
from tests.e2e.waiting import until
from tests.standins.broker import free_port
from topics.kafka.settings import KafkaSettings
from topics.topology import GROUPS, SERVICES

OWNER, OLDEST = 2, 6
PATIENCE = 120.0
# Other tests leave events on the broker, whose notices this webhook refuses.
WEBHOOK = rb"notifications-1: webhook (up|down), \d+ pending, oldest \d+ s"


@asynccontextmanager
async def workers(
    cluster: KafkaSettings, directory: Path
) -> AsyncIterator[dict[str, tuple[Worker, str]]]:
    """One worker of each service, and the address of its metrics, by its name."""
    started = {}
    for service in SERVICES:
        name = f"{service.name}-1"
        port = free_port()
        own = {"METRICS_PORT": str(port), "WEBHOOK_URL": "http://127.0.0.1:9/"}
        worker = Worker(cluster, name, directory, **own)
        started[name] = worker, f"http://127.0.0.1:{port}/metrics"
    try:
        yield started
    finally:
        for worker, _ in started.values():
            worker.process.terminate()
        for worker, _ in started.values():
            worker.process.wait(90)


def rows(out: bytes) -> list[list[str]]:
    """The cells of each line of a partition."""
    topics = {topic.name for topic in GROUPS}
    cells = [line.split() for line in out.decode().splitlines()]
    return [row for row in cells if row[0] in topics]


async def test_status_shows_each_owner_and_fails_once_a_group_has_none(
    cluster: KafkaSettings, tmp_path: Path
):
    async with workers(cluster, tmp_path) as started:
        urls = [
            word
            for name, (_, url) in started.items()
            for word in ("--metrics", f"{name}={url}")
        ]
        code, out = -1, b""

        async def all_known() -> bool:
            nonlocal code, out
            code, out, _ = await run(cluster, "status", *urls)
            known = all(row[OLDEST] != "-" for row in rows(out))
            return code == 0 and known and b"webhook" in out

        await until(all_known, "each partition has an owner, and an age", PATIENCE)
        found = rows(out)
        assert len(found) == len(GROUPS) * cluster.partitions
        owners = {topic.name: f"{group}-1@127.0.0.1" for topic, group in GROUPS.items()}
        for row in found:
            assert row[OWNER] == owners[row[0]]
            assert row[OLDEST:] == ["0", "s", "no"]
        assert re.search(WEBHOOK, out)

        started["products-1"][0].process.terminate()

        async def one_lost() -> bool:
            nonlocal code, out
            code, out, _ = await run(cluster, "status", *urls)
            return code == 1

        await until(one_lost, "the group of products has no member", PATIENCE)
    lost = {row[0] for row in rows(out) if row[OWNER] == "-"}
    assert lost == {t.name for t, group in GROUPS.items() if group == "products"}
    assert b"partitions without an owner: the group products is Empty" in out


async def test_status_without_metrics_shows_what_kafka_has(cluster: KafkaSettings):
    code, out, _ = await run(cluster, "status")

    assert code in (0, 1)
    found = rows(out)
    assert len(found) == len(GROUPS) * cluster.partitions
    assert {tuple(row[OLDEST:]) for row in found} == {("-", "-")}
