"""Offsets of consumer groups in the new topics."""

from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    IllegalGenerationError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from aiokafka.structs import OffsetAndMetadata

from agents.ops.repartition.plan import Plan
from topics.kafka.settings import KafkaSettings
from topics.topology import GROUPS

_HAS_MEMBERS = (UnknownMemberIdError, IllegalGenerationError, RebalanceInProgressError)

Offsets = Mapping[TopicPartition, int]


def offsets_of_shop(plan: Plan) -> dict[str, dict[TopicPartition, int]]:
    """Return the offsets that the groups of the shop have to commit."""
    found: dict[str, dict[TopicPartition, int]] = {}
    for topic, group in GROUPS.items():
        found.setdefault(group, {}).update(
            _tps(topic.name, plan.topics[topic.name].committed)
        )
    return found


def offsets_of_others(plan: Plan) -> dict[str, dict[TopicPartition, int]]:
    """Return those of other groups: the first record that a group has not read."""
    found: dict[str, dict[TopicPartition, int]] = {}
    for name, topic in plan.topics.items():
        for group, offsets in topic.positions.items():
            found.setdefault(group, {}).update(_tps(name, offsets))
    return found


async def commit(cluster: KafkaSettings, group: str, offsets: Offsets) -> bool:
    """Commit offsets for a group; return whether it had no members, which is required."""
    consumer = AIOKafkaConsumer(
        **cluster.client_options(), group_id=group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign([*offsets])
        await consumer.commit({tp: OffsetAndMetadata(n, "") for tp, n in offsets.items()})
    except _HAS_MEMBERS:
        return False
    finally:
        await consumer.stop()
    return True


def _tps(name: str, offsets: list[int]) -> dict[TopicPartition, int]:
    return {TopicPartition(name, number): each for number, each in enumerate(offsets)}
