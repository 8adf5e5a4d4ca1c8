"""Offsets of consumer groups in the new topics."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    IllegalGenerationError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from aiokafka.structs import OffsetAndMetadata

from agents.ops.repartition.plan import Plan
from topics.catalog import GATEWAY_REPLIES, SHOP_LAYOUT
from topics.cli import CommandError
from topics.kafka.reader import TopicReader
from topics.kafka.settings import KafkaSettings
from topics.topology import GROUPS

_HAS_MEMBERS = (UnknownMemberIdError, IllegalGenerationError, RebalanceInProgressError)

_TOOL = SHOP_LAYOUT.name
_SESSION_SECONDS = 6.0  # the shortest that brokers allow by default
_NEVER_MS = 2**31 - 1
_POLL_SECONDS = 0.1

Offsets = Mapping[TopicPartition, int]


def by_partition(topic: str, offsets: list[int]) -> dict[TopicPartition, int]:
    """Return the offsets of all partitions of a topic as a mapping."""
    return {TopicPartition(topic, number): each for number, each in enumerate(offsets)}


def offsets_of_shop(plan: Plan) -> dict[str, dict[TopicPartition, int]]:
    """Return the offsets that the groups of the shop have to commit."""
    found: dict[str, dict[TopicPartition, int]] = {}
    for topic, group in GROUPS.items():
        found.setdefault(group, {}).update(
            by_partition(topic.name, plan.topics[topic.name].committed)
        )
    return found


def offsets_of_others(plan: Plan) -> dict[str, dict[TopicPartition, int]]:
    """Return those of other groups: the first record that a group has not read."""
    found: dict[str, dict[TopicPartition, int]] = {}
    for name, topic in plan.topics.items():
        for group, offsets in topic.positions.items():
            found.setdefault(group, {}).update(by_partition(name, offsets))
    return found


@asynccontextmanager
async def exclusive(cluster: KafkaSettings) -> AsyncIterator[None]:
    """Exclude other runs of the tool: it has to be the only member of a group.

    Raises:
        CommandError: another run is a member, perhaps a killed one whose session lasts.
    """
    consumer = AIOKafkaConsumer(
        GATEWAY_REPLIES.name,  # any topic that stays
        **cluster.client_options(),
        group_id=_TOOL,
        enable_auto_commit=False,
        session_timeout_ms=round(_SESSION_SECONDS * 1000),
        heartbeat_interval_ms=round(_SESSION_SECONDS * 100),
        max_poll_interval_ms=_NEVER_MS,
    )
    deadline = time.monotonic() + 2 * _SESSION_SECONDS
    async with TopicReader(cluster) as reader:
        all_partitions = (await reader.partitions([GATEWAY_REPLIES]))[GATEWAY_REPLIES]
        while await reader.has_members(_TOOL):
            await _wait(deadline)
        async with consumer:
            while len(consumer.assignment()) < all_partitions:
                await _wait(deadline)
            consumer.pause(*consumer.assignment())
            yield


async def _wait(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise CommandError("another repartition runs")
    await asyncio.sleep(_POLL_SECONDS)


async def commit(cluster: KafkaSettings, group: str, offsets: Offsets) -> bool:
    """Commit offsets for a group; return whether it had no members, which is required."""
    options, committed = cluster.client_options(), OffsetAndMetadata
    async with AIOKafkaConsumer(
        **options, group_id=group, enable_auto_commit=False
    ) as consumer:
        consumer.assign([*offsets])
        try:
            await consumer.commit({tp: committed(n, "") for tp, n in offsets.items()})
        except _HAS_MEMBERS:
            return False
    return True
