"""The audit of the running shop, after all other tests on it and during a load."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest_asyncio

from agents.ops.local.deployment import REPOSITORY
from tests.e2e.clients import HttpClient, KafkaClient
from tests.e2e.ids import IdFactory
from tests.e2e.load import Load, start_load
from tests.e2e.shop import Shop


async def audited(shop: Shop, *options: str) -> tuple[int, str]:
    """Run the audit; return its exit code and its output."""
    environment = {**os.environ, "KAFKA": shop.kafka, "PARTITIONS": str(shop.partitions)}
    ran = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agents.ops.audit", *options),
        cwd=REPOSITORY,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await ran.communicate()
    return ran.returncode, out.decode()


@pytest_asyncio.fixture(loop_scope="session")
async def load(
    shop: Shop, gateways: list[HttpClient], topics: KafkaClient, ids: IdFactory
) -> AsyncIterator[Load]:
    """A load, half of it at the gateways and half at Kafka."""
    clients = [*gateways, topics, topics]
    async with start_load(shop, topics.kafka, clients, ids) as there:
        yield there


async def test_the_running_shop_matches_its_logs(load: Load, tmp_path: Path):
    """While shoppers continue; the second audit begins at the checkpoint of the first."""

    async def audit(*options: str) -> None:
        code, output = await audited(load.shop, "--quiet", *options)
        assert code == 0, output
        counts = json.loads(output.splitlines()[-1])
        assert counts["records"] > 0
        assert counts["questions"] > 0

    directory = str(tmp_path)
    await load.during(
        partial(audit, "--checkpoint", directory), partial(audit, "--from", directory)
    )
