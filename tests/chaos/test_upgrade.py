"""An upgrade from the previous release to this one.

This release renames fields of rows: it reads the old names, and writes the new ones.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.chaos.upgrade import NoHistoryError, unpack_previous
from tests.e2e.clients import HttpClient, KafkaClient
from tests.e2e.ids import IdFactory
from tests.e2e.kafka import Kafka
from tests.e2e.load import start_load
from tests.e2e.processes import Unit
from tests.e2e.shop import Shop

UPGRADED = (
    *("loms-1", "checkout-1", "gateway-1", "notifications-1", "products-1"),
    *("loms-2", "gateway-2"),
)


class _Mixed(Shop):
    """A shop whose two workers of LOMS have different releases for a while."""

    later = ()


def _upgrade(units: Sequence[Unit], code: Path) -> Callable[[], Awaitable[None]]:
    """Stop all processes, and start all: the previous release can't read this one's rows.

    Gateways stop first, while workers still answer the calls in flight.
    """
    gateways = [unit for unit in units if unit.name.startswith("gateway")]
    workers = [unit for unit in units if unit not in gateways]

    async def upgrade() -> None:
        for tier in (gateways, workers):
            await asyncio.gather(*(unit.stop() for unit in tier))
        for unit in units:
            unit.code = code
            unit.start()

    return upgrade


async def test_a_stop_and_a_start_from_the_previous_release_lose_nothing(tmp_path: Path):
    try:
        unpack_previous(tmp_path / "previous")
    except NoHistoryError as why:
        pytest.skip(f"no previous release to begin with: {why}")
    shop = _Mixed(tmp_path / "shop")
    upgraded = [shop[name] for name in UPGRADED]
    current = upgraded[0].code
    for unit in upgraded:
        unit.code = tmp_path / "previous"
    async with AsyncExitStack() as stack:
        stack.push_async_callback(shop.stop)
        await shop.start()
        kafka = Kafka(shop.cluster)
        await kafka.start()
        stack.push_async_callback(kafka.stop)
        gateways = [HttpClient(url) for url in shop.gateways]
        for gateway in gateways:
            stack.push_async_callback(gateway.close)
        clients = [*gateways, KafkaClient(kafka), KafkaClient(kafka)]
        async with start_load(shop, kafka, clients, IdFactory()) as load:
            await load.during(_upgrade(upgraded, current))
        assert [unit.name for unit in upgraded if unit.starts != unit.expected] == []
