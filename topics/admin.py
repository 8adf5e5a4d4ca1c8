"""Creates and compares the topics of a cluster, as the catalogue declares them.

All functions raise TopicsError, or KafkaAuthenticationError if Kafka refuses the client.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from topics.catalog import TOPICS
from topics.drift import (
    SET_ON_TOPIC,
    TopicDescription,
    config_drift,
    drift,
    partition_count_drift,
)
from topics.kafka.connection import find_auth_error
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic, TopicKind

LEADERS_SECONDS = 30.0
_POLL_SECONDS = 0.1

# The partition of their records, or rows, selects the worker that owns them.
_OWNED = (TopicKind.REQUESTS, TopicKind.EVENTS, TopicKind.CHANGELOG)

Descriptions = dict[str, TopicDescription]


class TopicsError(Exception):
    """The topics can't be read or changed; the message has the reason, in one line."""


class Plan(NamedTuple):
    """The changes that `create` makes to a cluster.

    Attributes:
        missing: a line for each topic that it creates.
        changed: a line for each setting that it changes.
    """

    missing: list[str]
    changed: list[str]


async def plan(cluster: KafkaSettings, topics: Iterable[Topic] = TOPICS) -> Plan:
    """Return the changes that `create` would make now."""
    declared = {topic.name: topic for topic in topics}
    async with _admin(cluster) as admin:
        found = await _describe(admin, declared)
    _require_partitions(declared, found, cluster)
    drifts = (config_drift(declared[name], found[name], cluster) for name in found)
    return Plan(
        [f"{name}: missing" for name in declared if name not in found],
        [line for lines in drifts for line in lines],
    )


async def create(cluster: KafkaSettings, topics: Iterable[Topic] = TOPICS) -> list[str]:
    """Create missing topics, apply changed settings, and wait for the leaders.

    Returns:
        A line for each topic that was created or changed.

    Raises:
        TopicsError: an existing topic has another number of partitions, the cluster
            refuses a change, or partitions stay without a leader.
    """
    declared = {topic.name: topic for topic in topics}
    async with _admin(cluster) as admin:
        found = await _describe(admin, declared)
        _require_partitions(declared, found, cluster)
        missing = [topic for name, topic in declared.items() if name not in found]
        existing = [topic for name, topic in declared.items() if name in found]
        changed = [t for t in existing if config_drift(t, found[t.name], cluster)]
        await _add(admin, missing, cluster)
        await _configure(admin, changed, found, cluster)
        await _await_leaders(admin, declared)
    return [
        *(f"{topic.name}: created" for topic in missing),
        *(f"{topic.name}: settings changed" for topic in changed),
    ]


async def check(cluster: KafkaSettings, topics: Iterable[Topic] = TOPICS) -> list[str]:
    """Compare the topics of the cluster with the declared ones.

    Returns:
        A line for each difference.
    """
    declared = {topic.name: topic for topic in topics}
    async with _admin(cluster) as admin:
        found = await _describe(admin, declared)
    return [
        line
        for topic in declared.values()
        for line in drift(topic, found.get(topic.name), cluster)
    ]


async def settings_of(
    cluster: KafkaSettings, topics: Iterable[Topic]
) -> dict[str, dict[str, str]]:
    """Return the settings in force of each existing topic, by its name."""
    async with _admin(cluster) as admin:
        found = await _describe(admin, [topic.name for topic in topics])
    return {name: description.config for name, description in found.items()}


async def partition_drift(cluster: KafkaSettings) -> list[str]:
    """Return a line for each topic whose number of partitions is not `PARTITIONS`.

    A worker computes the owner of a record from that number. With a wrong one it would
    forward records to workers that do not own them. Missing topics are ignored.
    """
    async with _admin(cluster) as admin:
        existing = await admin.describe_topics()
    counts = {topic["topic"]: len(topic["partitions"]) for topic in existing}
    return [
        line
        for topic in TOPICS
        if topic.kind in _OWNED and topic.name in counts
        for line in partition_count_drift(topic, counts[topic.name], cluster)
    ]


async def cluster_id(cluster: KafkaSettings) -> str:
    """Return the id of the cluster."""
    async with _admin(cluster) as admin:
        return str((await admin.describe_cluster())["cluster_id"])


def _require_partitions(
    declared: dict[str, Topic], found: Descriptions, cluster: KafkaSettings
) -> None:
    drifts = [
        line
        for name, description in found.items()
        for line in partition_count_drift(declared[name], description.partitions, cluster)
    ]
    # Keys would move to other partitions, and their state would stay in the old ones.
    if drifts:
        raise TopicsError(f"PARTITIONS of existing topics can't change: {drifts[0]}")


@asynccontextmanager
async def _admin(cluster: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**cluster.client_options())
    try:
        await admin.start()
        yield admin
    except (KafkaError, OSError) as error:
        if auth_error := await find_auth_error(cluster.client_options()):
            raise auth_error from error
        raise TopicsError(f"Kafka at {cluster.kafka}: {error}") from error
    finally:
        await admin.close()


async def _describe(admin: AIOKafkaAdminClient, names: Iterable[str]) -> Descriptions:
    existing = {topic["topic"]: topic for topic in await admin.describe_topics()}
    kind = ConfigResourceType.TOPIC
    resources = [ConfigResource(kind, name) for name in names if name in existing]
    responses = await admin.describe_configs(resources) if resources else []
    found = {}
    for code, text, _, name, settings in (r for rs in responses for r in rs.resources):
        _require_success(name, code, text)
        found[name] = TopicDescription(
            partitions=len(existing[name]["partitions"]),
            config={setting[0]: setting[1] for setting in settings},
            overrides=frozenset(s[0] for s in settings if s[3] == SET_ON_TOPIC),
        )
    return found


async def _add(
    admin: AIOKafkaAdminClient, topics: list[Topic], cluster: KafkaSettings
) -> None:
    if not topics:
        return
    new_topics = [
        NewTopic(
            topic.name,
            topic.partitions or cluster.partitions,
            cluster.kafka_replication,
            topic_configs=cluster.durability | topic.config(cluster.request_retention),
        )
        for topic in topics
    ]
    response = await admin.create_topics(new_topics)
    for name, code, text in response.topic_errors:
        # Another process that starts at the same time may have created it.
        if code != TopicAlreadyExistsError.errno:
            _require_success(name, code, text)


async def _configure(
    admin: AIOKafkaAdminClient,
    topics: list[Topic],
    found: Descriptions,
    cluster: KafkaSettings,
) -> None:
    # The request replaces all settings of a topic, so the operator's are repeated.
    resources = []
    for topic in topics:
        description = found[topic.name]
        settings = {name: description.config[name] for name in description.overrides}
        settings |= topic.config(cluster.request_retention)
        resources.append(ConfigResource(ConfigResourceType.TOPIC, topic.name, settings))
    for response in await admin.alter_configs(resources) if resources else []:
        for code, text, _, name in response.resources:
            _require_success(name, code, text)


async def _await_leaders(admin: AIOKafkaAdminClient, names: Iterable[str]) -> None:
    deadline = time.monotonic() + LEADERS_SECONDS
    while leaderless := await _leaderless(admin, names):
        if time.monotonic() > deadline:
            raise TopicsError(f"no leader for partitions of {', '.join(leaderless)}")
        await asyncio.sleep(_POLL_SECONDS)


async def _leaderless(admin: AIOKafkaAdminClient, names: Iterable[str]) -> list[str]:
    # From a list of all topics: a broker that lacks a new topic answers a question about
    # it with an error.
    topics = {t["topic"]: t["partitions"] for t in await admin.describe_topics()}
    led = {
        name
        for name, partitions in topics.items()
        if partitions and all(partition["leader"] >= 0 for partition in partitions)
    }
    return [name for name in names if name not in led]


def _require_success(name: str, code: int, text: str | None) -> None:
    if code:
        raise TopicsError(f"{name}: {text or for_code(code).__name__}")
