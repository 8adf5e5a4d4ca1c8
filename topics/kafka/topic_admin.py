"""Describes, creates, changes and deletes topics by their names."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple, Self

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    KafkaError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from topics.kafka.connection import find_auth_error
from topics.kafka.settings import KafkaSettings

_SECONDS = 60.0
_POLL_SECONDS = 0.05
_SET_ON_TOPIC = 1  # Kafka's number for a setting whose source is the topic itself


class TopicsError(Exception):
    """The topics can't be read or changed; the message has the reason, in one line."""


class ExistingTopic(NamedTuple):
    """A topic of the cluster.

    Attributes:
        replication: copies of each partition.
        config: all settings.
        own_config: those that are set on the topic itself.
    """

    partitions: int
    replication: int
    config: dict[str, str]
    own_config: dict[str, str]


@asynccontextmanager
async def kafka_errors(cluster: KafkaSettings) -> AsyncIterator[None]:
    """Raise a TopicsError, or KafkaAuthenticationError, for an error of Kafka's clients."""
    try:
        yield
    except (KafkaError, OSError) as error:
        if auth_error := await find_auth_error(cluster.client_options()):
            raise auth_error from error
        raise TopicsError(f"Kafka at {cluster.kafka}: {error}") from error


class TopicAdmin:
    """The topics of a cluster.

    Each method raises a TopicsError if the cluster refuses the change, or is too slow.
    """

    def __init__(self, cluster: KafkaSettings) -> None:
        self._admin = AIOKafkaAdminClient(**cluster.client_options())

    async def __aenter__(self) -> Self:
        try:
            await self._admin.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()

    async def cluster_id(self) -> str:
        """Return the id of the cluster."""
        return str((await self._admin.describe_cluster())["cluster_id"])

    async def partitions(self) -> dict[str, int]:
        """Return the number of partitions of each topic."""
        described = await self._admin.describe_topics()
        return {topic["topic"]: len(topic["partitions"]) for topic in described}

    async def led(self) -> dict[str, int]:
        """Return the numbers of those topics of which each partition has a leader."""
        # From a list of all topics: a broker that lacks a new topic answers a request for
        # it with an error.
        return {
            topic["topic"]: len(topic["partitions"])
            for topic in await self._admin.describe_topics()
            if topic["partitions"] and all(p["leader"] >= 0 for p in topic["partitions"])
        }

    async def existing(self, names: Iterable[str]) -> dict[str, ExistingTopic]:
        """Return the topics of these names that exist."""
        wanted, topics = {*names}, await self._admin.describe_topics()
        described = {each["topic"]: each for each in topics if each["topic"] in wanted}
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in described]
        found = {}
        for response in await self._admin.describe_configs(resources):
            for code, text, _, name, settings in response.resources:
                _require_success(name, code, text)
                partitions = described[name]["partitions"]
                found[name] = ExistingTopic(
                    len(partitions),
                    max((len(each["replicas"]) for each in partitions), default=0),
                    {each[0]: each[1] for each in settings},
                    {each[0]: each[1] for each in settings if each[3] == _SET_ON_TOPIC},
                )
        return found

    async def create(self, topics: list[NewTopic]) -> None:
        """Create topics, unless they exist."""
        for name, code, text in (await self._admin.create_topics(topics)).topic_errors:
            # Another process that starts at the same time may have created it.
            if code != TopicAlreadyExistsError.errno:
                _require_success(name, code, text)

    async def create_and_wait(
        self, name: str, partitions: int, replication: int, config: dict[str, str]
    ) -> None:
        """Create a topic unless it exists; return when all partitions have a leader."""
        await self.create([NewTopic(name, partitions, replication, topic_configs=config)])
        deadline = time.monotonic() + _SECONDS
        while (await self.led()).get(name) != partitions:
            if time.monotonic() > deadline:
                raise TopicsError(f"{name}: its {partitions} partitions have no leaders")
            await asyncio.sleep(_POLL_SECONDS)

    async def delete(self, name: str) -> None:
        """Delete a topic if it exists; return when it is gone."""
        for _, code in (await self._admin.delete_topics([name])).topic_error_codes:
            if code != UnknownTopicOrPartitionError.errno:
                _require_success(name, code, None)
        deadline = time.monotonic() + _SECONDS
        while (await self.partitions()).get(name):
            if time.monotonic() > deadline:
                raise TopicsError(f"{name} is still there, though it was deleted")
            await asyncio.sleep(_POLL_SECONDS)

    async def configure(self, configs: Mapping[str, dict[str, str]]) -> None:
        """Replace the own settings of topics."""
        kind = ConfigResourceType.TOPIC
        resources = [ConfigResource(kind, name, configs[name]) for name in configs]
        for response in await self._admin.alter_configs(resources):
            for code, text, _, name in response.resources:
                _require_success(name, code, text)

    async def delete_records(
        self, before: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Delete the records below these offsets; return where each log begins now."""
        offsets = {tp: RecordsToDelete(offset) for tp, offset in before.items()}
        begins: dict[TopicPartition, int] = await self._admin.delete_records(offsets)
        return begins


def _require_success(name: str, code: int, text: str | None) -> None:
    if code:
        raise TopicsError(f"{name}: {text or for_code(code).__name__}")
