"""Members of a group on a real broker, which commit while the group rebalances."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import consumer as aiokafka_consumer
from aiokafka.errors import CommitFailedError
from aiokafka.structs import OffsetAndMetadata

from agents.worker.coordinator import GroupCoordinator, SubscriptionState
from tests.e2e.waiting import until
from topics.catalog import STOCK_REQUESTS
from topics.kafka.settings import KafkaSettings

HEARTBEAT_MS = 1000
COMMIT_SECONDS = 0.05
TOPIC = STOCK_REQUESTS.name


async def join(cluster: KafkaSettings, name: str) -> AIOKafkaConsumer:
    """Join the group."""
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=cluster.kafka,
        group_id="members",
        group_instance_id=name,
        enable_auto_commit=False,
        heartbeat_interval_ms=HEARTBEAT_MS,
    )
    await consumer.start()
    return consumer


@pytest.fixture
async def members(
    cluster: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[AIOKafkaConsumer]]:
    """Two members, which have a partition each."""
    monkeypatch.setattr(aiokafka_consumer, "GroupCoordinator", GroupCoordinator)
    monkeypatch.setattr(aiokafka_consumer, "SubscriptionState", SubscriptionState)
    joined = [await join(cluster, name) for name in ("one", "other")]
    await until(lambda: {len(one.assignment()) for one in joined} == {1}, "a share each")
    yield joined
    await asyncio.gather(*(one.stop() for one in joined))


async def test_a_commit_during_a_rebalance_costs_no_membership(
    members: list[AIOKafkaConsumer],
):
    coordinator = members[0]._coordinator  # noqa: SLF001
    before = coordinator.generation
    failures: list[CommitFailedError] = []

    async def commit() -> None:
        while True:
            offsets = {TopicPartition(TOPIC, 0): OffsetAndMetadata(0, "")}
            try:
                await coordinator.commit_offsets(None, offsets)
            except CommitFailedError as error:
                failures.append(error)
            await asyncio.sleep(COMMIT_SECONDS)

    committing = asyncio.create_task(commit())
    coordinator.request_rejoin()
    await asyncio.sleep(4 * HEARTBEAT_MS / 1000)
    committing.cancel()
    assert coordinator.generation == before + 1
    assert not failures
