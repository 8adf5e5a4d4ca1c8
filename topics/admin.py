"""Creates and compares the topics of a cluster, as the catalogue declares them.

All functions raise TopicsError, or KafkaAuthenticationError if Kafka refuses the client.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from itertools import chain
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from topics.catalog import TOPICS
from topics.kafka.connection import find_auth_error
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic, TopicKind

_LEADERS_SECONDS = 30.0
_POLL_SECONDS = 0.1
_SET_ON_TOPIC = 1  # Kafka's number for a setting whose source is the topic itself

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


class TopicsError(Exception):
    """The topics can't be read or changed; the message has the reason, in one line."""


class _Description(NamedTuple):
    """A topic of the cluster; `overrides` are the settings set on the topic itself."""

    partitions: int
    config: dict[str, str]
    overrides: set[str]


_Found = dict[Topic, _Description]


async def describe(cluster: KafkaSettings, topics: Collection[Topic] = TOPICS) -> _Found:
    """Return the descriptions of existing topics."""
    async with _admin(cluster) as admin:
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
    async with _admin(cluster) as admin:
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
    async with _admin(cluster) as admin:
        existing = await admin.describe_topics()
    counts = {topic["topic"]: len(topic["partitions"]) for topic in existing}
    return [
        line
        for topic in TOPICS
        if topic.kind in _OWNED and topic.name in counts
        for line in _partition_drift(topic, counts[topic.name], cluster)
    ]


async def cluster_id(cluster: KafkaSettings) -> str:
    """Return the id of the cluster."""
    async with _admin(cluster) as admin:
        return str((await admin.describe_cluster())["cluster_id"])


def _drift(topic: Topic, found: _Description | None, cluster: KafkaSettings) -> list[str]:
    if found is None:
        return [f"{topic.name}: missing"]
    declared = topic.config(cluster.request_retention)
    undeclared = found.overrides - declared.keys() - _LEFT_TO_OPERATORS
    return [
        *_partition_drift(topic, found.partitions, cluster),
        *_config_drift(topic, found, cluster),
        *(f"{topic.name}: {name} is set, but not declared" for name in sorted(undeclared)),
    ]


def _partition_drift(topic: Topic, partitions: int, cluster: KafkaSettings) -> list[str]:
    declared = topic.partitions or cluster.partitions
    line = f"{topic.name}: {partitions} partitions, not {declared}"
    return [] if partitions == declared else [line]


def _config_drift(topic: Topic, found: _Description, cluster: KafkaSettings) -> list[str]:
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


@asynccontextmanager
async def kafka_errors(cluster: KafkaSettings) -> AsyncIterator[None]:
    """Raise a TopicsError, or KafkaAuthenticationError, for an error of Kafka's clients."""
    try:
        yield
    except (KafkaError, OSError) as error:
        if auth_error := await find_auth_error(cluster.client_options()):
            raise auth_error from error
        raise TopicsError(f"Kafka at {cluster.kafka}: {error}") from error


@asynccontextmanager
async def _admin(cluster: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    async with kafka_errors(cluster):
        admin = AIOKafkaAdminClient(**cluster.client_options())
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()


async def _describe(admin: AIOKafkaAdminClient, topics: Collection[Topic]) -> _Found:
    existing = {topic["topic"]: topic for topic in await admin.describe_topics()}
    declared = {topic.name: topic for topic in topics if topic.name in existing}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in declared]
    responses = await admin.describe_configs(resources) if resources else []
    found = {}
    for code, text, _, name, settings in (r for rs in responses for r in rs.resources):
        _require_success(name, code, text)
        found[declared[name]] = _Description(
            partitions=len(existing[name]["partitions"]),
            config={setting[0]: setting[1] for setting in settings},
            overrides={setting[0] for setting in settings if setting[3] == _SET_ON_TOPIC},
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
    admin: AIOKafkaAdminClient, found: _Found, cluster: KafkaSettings
) -> None:
    # The request replaces all settings of a topic, so the operator's are repeated.
    resources = []
    for topic, (_, config, overrides) in found.items():
        settings = {name: config[name] for name in overrides}
        settings |= topic.config(cluster.request_retention)
        resources.append(ConfigResource(ConfigResourceType.TOPIC, topic.name, settings))
    for response in await admin.alter_configs(resources) if resources else []:
        for code, text, _, name in response.resources:
            _require_success(name, code, text)


async def _await_leaders(admin: AIOKafkaAdminClient, topics: Collection[Topic]) -> None:
    deadline = time.monotonic() + _LEADERS_SECONDS
    while leaderless := {topic.name for topic in topics} - await _led(admin):
        if time.monotonic() > deadline:
            names = ", ".join(sorted(leaderless))
            raise TopicsError(f"no leader for partitions of {names}")
        await asyncio.sleep(_POLL_SECONDS)


async def _led(admin: AIOKafkaAdminClient) -> set[str]:
    # From a list of all topics: a broker that lacks a new topic answers a request for it
    # with an error.
    return {
        topic["topic"]
        for topic in await admin.describe_topics()
        if topic["partitions"] and all(p["leader"] >= 0 for p in topic["partitions"])
    }


def _require_success(name: str, code: int, text: str | None) -> None:
    if code:
        raise TopicsError(f"{name}: {text or for_code(code).__name__}")
