"""The audit of the running shop, after all other tests on it and during a load."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest_asyncio

from tests.e2e.audit import audit_logs
from tests.e2e.clients import HttpClient, KafkaClient
from tests.e2e.ids import IdFactory
from tests.e2e.load import Load, start_load
from tests.e2e.shop import Shop


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
        counts = await audit_logs(load.shop, *options)
        assert counts["records"] > 0
        assert counts["questions"] > 0

    directory = str(tmp_path)
    await load.during(
        partial(audit, "--checkpoint", directory), partial(audit, "--from", directory)
    )
