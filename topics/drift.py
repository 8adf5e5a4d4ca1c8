"""Compares the topics of a cluster with their declarations."""

from dataclasses import dataclass

from topics.kafka.settings import KafkaSettings
from topics.topic import Topic

SET_ON_TOPIC = 1
"""Kafka's number for a setting whose source is the topic itself."""

# The shop does not depend on these; operators may set them.
_LEFT_TO_OPERATORS = {
    "compression.type",
    "follower.replication.throttled.replicas",
    "leader.replication.throttled.replicas",
    "min.insync.replicas",
    "unclean.leader.election.enable",
}


@dataclass(frozen=True)
class TopicDescription:
    """A topic of the cluster.

    Attributes:
        partitions: their number.
        config: every setting in force.
        overrides: the names of settings that were set on the topic itself.
    """

    partitions: int
    config: dict[str, str]
    overrides: frozenset[str]


def drift(
    topic: Topic, found: TopicDescription | None, cluster: KafkaSettings
) -> list[str]:
    """Return a line for each difference between a topic and its declaration."""
    if found is None:
        return [f"{topic.name}: missing"]
    declared = topic.config(cluster.request_retention)
    undeclared = found.overrides - declared.keys() - _LEFT_TO_OPERATORS
    return [
        *partition_count_drift(topic, found.partitions, cluster),
        *config_drift(topic, found, cluster),
        *(f"{topic.name}: {name} is set, but not declared" for name in sorted(undeclared)),
    ]


def partition_count_drift(
    topic: Topic, partitions: int, cluster: KafkaSettings
) -> list[str]:
    """Return a line if a topic has another number of partitions than declared."""
    declared = topic.partitions or cluster.partitions
    if partitions == declared:
        return []
    return [f"{topic.name}: {partitions} partitions, not {declared}"]


def config_drift(
    topic: Topic, found: TopicDescription, cluster: KafkaSettings
) -> list[str]:
    """Return a line for each declared setting that is not in force."""
    return [
        f"{topic.name}: {name} is {found.config.get(name)}, not {value}"
        for name, value in topic.config(cluster.request_retention).items()
        if found.config.get(name) != value
    ]
