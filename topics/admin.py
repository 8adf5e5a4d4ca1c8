"""Creates and compares the topics of a cluster, as the catalogue declares them.

All functions raise TopicsError, or KafkaAuthenticationError if Kafka refuses the client.
"""

import asyncio
import time
from collections.abc import Collection
from itertools import chain

from aiokafka.admin import NewTopic

from topics.catalog import TOPICS
from topics.kafka.settings import KafkaSettings
from topics.kafka.topic_admin import (
    ExistingTopic,
    TopicAdmin,
    TopicsError,
    kafka_errors,
)
from topics.topic import Topic, TopicKind

_LEADERS_SECONDS = 60.0
_POLL_SECONDS = 0.1

# The partition of their records, or rows, selects the worker that owns them.
_OWNED = (TopicKind.REQUESTS, TopicKind.EVENTS, TopicKind.CHANGELOG)

# The shop does not depend on these; operators may set them.
_LEFT_TO_OPERATORS = {
    "compression.type",
    "follower.replication.throttled.replicas",
    "leader.replication.throttled.replicas",
    "min.insync.replicas",
    "unclean.leader.election.enable",
}

_Found = dict[Topic, ExistingTopic]


async def describe(cluster: KafkaSettings, topics: Collection[Topic] = TOPICS) -> _Found:
    """Return the descriptions of existing topics."""
    async with kafka_errors(cluster), TopicAdmin(cluster) as admin:
        return await _describe(admin, topics)


async def plan(cluster: KafkaSettings) -> tuple[list[str], list[str]]:
    """Return a line for each missing topic, and for each setting to change."""
    found = await describe(cluster)
    _require_partitions(found, cluster)
    missing = [f"{topic.name}: missing" for topic in TOPICS if topic not in found]
    changed = (_config_drift(topic, found[topic], cluster) for topic in found)
    return missing, [*chain.from_iterable(changed)]


async def create(cluster: KafkaSettings, topics: Collection[Topic] = TOPICS) -> list[str]:
    """Create missing topics, apply changed settings, wait for leaders; return the changes.

    Raises:
        TopicsError: an existing topic has another number of partitions, the cluster
            refuses a change, or partitions stay without a leader.
    """
    async with kafka_errors(cluster), TopicAdmin(cluster) as admin:
        found = await _describe(admin, topics)
        _require_partitions(found, cluster)
        missing = [topic for topic in topics if topic not in found]
        changed = {t: d for t, d in found.items() if _config_drift(t, d, cluster)}
        await _add(admin, missing, cluster)
        await _configure(admin, changed, cluster)
        await _await_leaders(admin, topics)
    return [
        *(f"{topic.name}: created" for topic in missing),
        *(f"{topic.name}: settings changed" for topic in changed),
    ]


async def check(cluster: KafkaSettings, topics: Collection[Topic] = TOPICS) -> list[str]:
    """Return a line for each difference between the cluster's and the declared topics."""
    found = await describe(cluster, topics)
    return [line for topic in topics for line in _drift(topic, found.get(topic), cluster)]


async def partition_drift(cluster: KafkaSettings) -> list[str]:
    """Return a line for each topic whose number of partitions is not `PARTITIONS`.

    A worker computes the owner of a record from that number. With a wrong one it would
    forward records to workers that do not own them. Missing topics are ignored.
    """
    async with kafka_errors(cluster), TopicAdmin(cluster) as admin:
        counts = await admin.partitions()
    return [
        line
        for topic in TOPICS
        if topic.kind in _OWNED and topic.name in counts
        for line in _partition_drift(topic, counts[topic.name], cluster)
    ]


async def cluster_id(cluster: KafkaSettings) -> str:
    """Return the id of the cluster."""
    async with kafka_errors(cluster), TopicAdmin(cluster) as admin:
        return await admin.cluster_id()


def _drift(topic: Topic, found: ExistingTopic | None, cluster: KafkaSettings) -> list[str]:
    if found is None:
        return [f"{topic.name}: missing"]
    declared = topic.config(cluster.request_retention)
    undeclared = found.own_config.keys() - declared.keys() - _LEFT_TO_OPERATORS
    return [
        *_partition_drift(topic, found.partitions, cluster),
        *_config_drift(topic, found, cluster),
        *(f"{topic.name}: {name} is set, but not declared" for name in sorted(undeclared)),
    ]


def _partition_drift(topic: Topic, partitions: int, cluster: KafkaSettings) -> list[str]:
    declared = topic.partitions or cluster.partitions
    line = f"{topic.name}: {partitions} partitions, not {declared}"
    return [] if partitions == declared else [line]


def _config_drift(topic: Topic, found: ExistingTopic, cluster: KafkaSettings) -> list[str]:
    return [
        f"{topic.name}: {name} is {found.config.get(name)}, not {value}"
        for name, value in topic.config(cluster.request_retention).items()
        if found.config.get(name) != value
    ]


def _require_partitions(found: _Found, cluster: KafkaSettings) -> None:
    for topic, (partitions, *_) in found.items():
        # Keys would move to other partitions, and their state would stay in the old ones.
        for line in _partition_drift(topic, partitions, cluster):
            text = f"{line}: make repartition changes the PARTITIONS of existing topics"
            raise TopicsError(text)


async def _describe(admin: TopicAdmin, topics: Collection[Topic]) -> _Found:
    existing = await admin.existing(topic.name for topic in topics)
    return {topic: existing[topic.name] for topic in topics if topic.name in existing}


async def _add(admin: TopicAdmin, topics: list[Topic], cluster: KafkaSettings) -> None:
    new_topics = [
        NewTopic(
            topic.name,
            topic.partitions or cluster.partitions,
            cluster.kafka_replication,
            topic_configs=cluster.durability | topic.config(cluster.request_retention),
        )
        for topic in topics
    ]
    if new_topics:
        await admin.create(new_topics)


async def _configure(admin: TopicAdmin, found: _Found, cluster: KafkaSettings) -> None:
    # The request replaces all settings of a topic, so the operator's are repeated.
    configs = {
        topic.name: existing.own_config | topic.config(cluster.request_retention)
        for topic, existing in found.items()
    }
    if configs:
        await admin.configure(configs)


async def _await_leaders(admin: TopicAdmin, topics: Collection[Topic]) -> None:
    deadline = time.monotonic() + _LEADERS_SECONDS
    while leaderless := {topic.name for topic in topics} - (await admin.led()).keys():
        if time.monotonic() > deadline:
            names = ", ".join(sorted(leaderless))
            raise TopicsError(f"no leader for partitions of {names}")
        await asyncio.sleep(_POLL_SECONDS)
