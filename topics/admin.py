"""Bringing a cluster's topics into line with the catalogue, and telling the drift."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from topics.catalog import TOPICS
from topics.drift import SET_ON_TOPIC, Found, drift, misparted, misset
from topics.kafka.connection import find_auth_error
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic, TopicKind

LEADERS_SECONDS = 30.0
_POLL_SECONDS = 0.1

# Whose records, or rows, belong to somebody: to whom, their partition tells.
_OWNED = (TopicKind.REQUESTS, TopicKind.EVENTS, TopicKind.CHANGELOG)


class TopicsError(Exception):
    """The topics can't be brought into line; the message says why, in one line."""


class Plan(NamedTuple):
    """What `create` does to a cluster.

    Attributes:
        missing: a line for each topic that it creates.
        changed: a line for each setting that it changes.
    """

    missing: list[str]
    changed: list[str]


async def plan(cluster: KafkaSettings, topics: Iterable[Topic] = TOPICS) -> Plan:
    """Return what `create` would do now.

    Raises:
        TopicsError, NotLetInError: as `create`.
    """
    declared = {topic.name: topic for topic in topics}
    async with _admin(cluster) as admin:
        found = await _observe(admin, declared)
    _require_partitions(declared, found, cluster)
    return Plan(
        [f"{name}: missing" for name in declared if name not in found],
        [line for n, there in found.items() for line in misset(declared[n], there)],
    )


async def create(cluster: KafkaSettings, topics: Iterable[Topic] = TOPICS) -> list[str]:
    """Create what is missing, apply settings that changed, and await the leaders.

    Returns:
        What was done, a line each; nothing when all was as it should be.

    Raises:
        TopicsError: an existing topic has another number of partitions, the cluster
            says no, or partitions stay without a leader.
        NotLetInError: Kafka is there, but not for us.
    """
    declared = {topic.name: topic for topic in topics}
    async with _admin(cluster) as admin:
        found = await _observe(admin, declared)
        _require_partitions(declared, found, cluster)
        missing = [topic for name, topic in declared.items() if name not in found]
        changed = [t for n, t in declared.items() if n in found and misset(t, found[n])]
        await _add(admin, missing, cluster)
        await _configure(admin, changed, found)
        await _await_leaders(admin, declared)
    return [
        *(f"{topic.name}: created" for topic in missing),
        *(f"{topic.name}: settings changed" for topic in changed),
    ]


async def check(cluster: KafkaSettings, topics: Iterable[Topic] = TOPICS) -> list[str]:
    """Compare the cluster with what is declared.

    Returns:
        A line for each difference.

    Raises:
        TopicsError, NotLetInError: the cluster can't be asked.
    """
    declared = {topic.name: topic for topic in topics}
    async with _admin(cluster) as admin:
        found = await _observe(admin, declared)
    return [
        line
        for topic in declared.values()
        for line in drift(topic, found.get(topic.name), cluster)
    ]


async def settings_of(
    cluster: KafkaSettings, topics: Iterable[Topic]
) -> dict[str, dict[str, str]]:
    """Return the settings in force of each topic that is there, by its name.

    Raises:
        TopicsError, NotLetInError: the cluster can't be asked.
    """
    async with _admin(cluster) as admin:
        found = await _observe(admin, [topic.name for topic in topics])
    return {name: there.config for name, there in found.items()}


async def partition_drift(cluster: KafkaSettings) -> list[str]:
    """Say which topics have another number of partitions than `PARTITIONS` says.

    A worker computes with it whose a record is: with a wrong one it would pass records on
    to others than their owners (R6). A topic that is missing is no matter of this.

    Raises:
        TopicsError, NotLetInError: the cluster can't be asked.
    """
    async with _admin(cluster) as admin:
        there = {t["topic"]: len(t["partitions"]) for t in await admin.describe_topics()}
    return [
        line
        for topic in TOPICS
        if topic.kind in _OWNED and topic.name in there
        for line in misparted(topic, there[topic.name], cluster)
    ]


async def cluster_id(cluster: KafkaSettings) -> str:
    """Return what tells a cluster from all others.

    Raises:
        TopicsError, NotLetInError: it can't be asked.
    """
    async with _admin(cluster) as admin:
        return str((await admin.describe_cluster())["cluster_id"])


def _require_partitions(
    declared: dict[str, Topic], found: dict[str, Found], cluster: KafkaSettings
) -> None:
    wrong = [
        line
        for name, there in found.items()
        for line in misparted(declared[name], there.partitions, cluster)
    ]
    # Keys would move to other partitions, and their state would stay behind.
    if wrong:
        raise TopicsError(f"PARTITIONS of existing topics can't change: {wrong[0]}")


@asynccontextmanager
async def _admin(cluster: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**cluster.client_options())
    try:
        await admin.start()
        yield admin
    except (KafkaError, OSError) as error:
        if refused := await find_auth_error(cluster.client_options()):
            raise refused from error
        raise TopicsError(f"Kafka at {cluster.kafka}: {error}") from error
    finally:
        await admin.close()


async def _observe(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, Found]:
    there = {topic["topic"]: topic for topic in await admin.describe_topics()}
    wanted = [ConfigResource(ConfigResourceType.TOPIC, n) for n in names if n in there]
    answers = await admin.describe_configs(wanted) if wanted else []
    found = {}
    for code, text, _, name, settings in (r for a in answers for r in a.resources):
        _require_success(name, code, text)
        partitions = there[name]["partitions"]
        found[name] = Found(
            partitions=len(partitions),
            config={setting[0]: setting[1] for setting in settings},
            overrides=frozenset(s[0] for s in settings if s[3] == SET_ON_TOPIC),
        )
    return found


async def _add(
    admin: AIOKafkaAdminClient, topics: list[Topic], cluster: KafkaSettings
) -> None:
    if not topics:
        return
    wanted = [
        NewTopic(
            topic.name,
            topic.partitions or cluster.partitions,
            cluster.kafka_replication,
            topic_configs=cluster.durability | topic.config,
        )
        for topic in topics
    ]
    answer = await admin.create_topics(wanted)
    for name, code, text in answer.topic_errors:
        # Somebody else who starts at the same time has made it: as good.
        if code != TopicAlreadyExistsError.errno:
            _require_success(name, code, text)


async def _configure(
    admin: AIOKafkaAdminClient, topics: list[Topic], found: dict[str, Found]
) -> None:
    # The request replaces all that is set on a topic, so what operators set is repeated.
    wanted = []
    for topic in topics:
        there = found[topic.name]
        kept = {name: there.config[name] for name in there.overrides}
        wanted.append(
            ConfigResource(ConfigResourceType.TOPIC, topic.name, kept | topic.config)
        )
    for answer in await admin.alter_configs(wanted) if wanted else []:
        for code, text, _, name in answer.resources:
            _require_success(name, code, text)


async def _await_leaders(admin: AIOKafkaAdminClient, names: Iterable[str]) -> None:
    deadline = time.monotonic() + LEADERS_SECONDS
    while headless := await _headless(admin, names):
        if time.monotonic() > deadline:
            raise TopicsError(f"no leader for partitions of {', '.join(headless)}")
        await asyncio.sleep(_POLL_SECONDS)


async def _headless(admin: AIOKafkaAdminClient, names: Iterable[str]) -> list[str]:
    # By what a broker tells of topics alone: another one may not have heard of a new one.
    there = {t["topic"]: t["partitions"] for t in await admin.describe_topics()}
    led = {
        n for n, parts in there.items() if parts and all(p["leader"] >= 0 for p in parts)
    }
    return [name for name in names if name not in led]


def _require_success(name: str, code: int, text: str | None) -> None:
    if code:
        raise TopicsError(f"{name}: {text or for_code(code).__name__}")
