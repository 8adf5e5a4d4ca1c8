"""How topics that a cluster has differ from what the catalogue declares."""

from dataclasses import dataclass

from topics.kafka.settings import KafkaSettings
from topics.topic import Topic

SET_ON_TOPIC = 1
"""Kafka's own number for "set on this very topic", among the sources of a setting."""

# What the shop doesn't depend on, and operators may want to set as they see fit.
_LEFT_TO_OPERATORS = {
    "compression.type",
    "follower.replication.throttled.replicas",
    "leader.replication.throttled.replicas",
    "min.insync.replicas",
    "unclean.leader.election.enable",
}


@dataclass(frozen=True)
class Found:
    """A topic as the cluster has it.

    Attributes:
        partitions: how many.
        config: every setting in force.
        overrides: those that were set on this very topic.
    """

    partitions: int
    config: dict[str, str]
    overrides: frozenset[str]


def drift(topic: Topic, found: Found | None, cluster: KafkaSettings) -> list[str]:
    """Say how a topic differs from its declaration."""
    if found is None:
        return [f"{topic.name}: missing"]
    strange = found.overrides - topic.config.keys() - _LEFT_TO_OPERATORS
    return [
        *misparted(topic, found.partitions, cluster),
        *misset(topic, found),
        *(f"{topic.name}: {name} is set, but not declared" for name in sorted(strange)),
    ]


def misparted(topic: Topic, partitions: int, cluster: KafkaSettings) -> list[str]:
    """Say whether a topic has another number of partitions than it should."""
    wanted = topic.partitions or cluster.partitions
    if partitions == wanted:
        return []
    return [f"{topic.name}: {partitions} partitions, not {wanted}"]


def misset(topic: Topic, found: Found) -> list[str]:
    """Say which declared settings are not in force."""
    return [
        f"{topic.name}: {name} is {found.config.get(name)}, not {value}"
        for name, value in topic.config.items()
        if found.config.get(name) != value
    ]
