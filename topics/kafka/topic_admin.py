"""Describes, creates, changes and deletes topics by their names."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple, Self

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    KafkaError,
    NotEnoughReplicasError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest

from topics.kafka.connection import find_auth_error
from topics.kafka.retry import retry
from topics.kafka.settings import KafkaSettings

_SECONDS = 60.0
_POLL_SECONDS = 0.05
_REQUEST_MS = 15_000
"""How long the admin client waits for a dead controller, before it looks for another."""

_SET_ON_TOPIC = 1  # Kafka's number for a setting whose source is the topic itself

_FENCED = "fenced"
"""In the reason of a refused creation: brokers are starting, or too busy for heartbeats."""

_Described = list[dict[str, Any]]


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
        self._admin = AIOKafkaAdminClient(
            **cluster.client_options(), request_timeout_ms=_REQUEST_MS
        )

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
        return _partitions(await self._topics())

    async def led(self) -> dict[str, int]:
        """Return the numbers of those topics of which each partition has a leader."""
        # From a list of all topics: a broker that lacks a new topic answers a request for
        # it with an error.
        return _led(await self._topics())

    async def existing(self, names: Iterable[str]) -> dict[str, ExistingTopic]:
        """Return the topics of these names that exist."""
        return await retry(partial(self._existing, {*names}))

    async def create(self, topics: list[NewTopic]) -> None:
        """Create topics, unless they exist."""

        async def request() -> None:
            for name, code, text in (await self._admin.create_topics(topics)).topic_errors:
                # Another process that starts at the same time may have created it.
                if code != TopicAlreadyExistsError.errno:
                    _require_success(name, code, text)

        await retry(request)

    async def create_and_wait(
        self, name: str, partitions: int, replication: int, config: dict[str, str]
    ) -> None:
        """Create a topic unless it exists; return when all partitions have a leader."""
        await self.create([NewTopic(name, partitions, replication, topic_configs=config)])
        await self._wait(
            lambda topics: _led(topics).get(name) == partitions,
            f"{name}: its {partitions} partitions have no leaders",
        )

    async def delete(self, name: str) -> None:
        """Delete a topic if it exists; return when it is gone."""

        async def request() -> None:
            for _, code in (await self._admin.delete_topics([name])).topic_error_codes:
                if code != UnknownTopicOrPartitionError.errno:
                    _require_success(name, code, None)

        await retry(request)
        await self._wait(
            lambda topics: not _partitions(topics).get(name),
            f"{name} is still there, though it was deleted",
        )

    async def configure(self, configs: Mapping[str, dict[str, str]]) -> None:
        """Replace the own settings of topics."""
        kind = ConfigResourceType.TOPIC
        resources = [ConfigResource(kind, name, configs[name]) for name in configs]

        async def request() -> None:
            for response in await self._admin.alter_configs(resources):
                for code, text, _, name in response.resources:
                    _require_success(name, code, text)

        await retry(request)

    async def delete_records(
        self, before: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Delete the records below these offsets; return where each log begins now."""
        offsets = {tp: RecordsToDelete(offset) for tp, offset in before.items()}
        begins: dict[TopicPartition, int] = await retry(
            partial(self._admin.delete_records, offsets)
        )
        return begins

    async def _existing(self, names: set[str]) -> dict[str, ExistingTopic]:
        topics = await self._admin.describe_topics()
        described = {each["topic"]: each for each in topics if each["topic"] in names}
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

    async def _topics(self) -> _Described:
        """Return the topics as any broker sees them."""
        described: _Described = await retry(self._admin.describe_topics)
        return described

    async def _wait(self, are_so: Callable[[_Described], bool], failure: str) -> None:
        """Wait until the topics are in a state, as every broker sees them.

        A change reaches one broker after the other, and a client may ask any of them: a
        late one would send it to partitions of a deleted topic of the same name.
        """
        deadline = time.monotonic() + _SECONDS
        while not all(map(are_so, await retry(self._views))):
            if time.monotonic() > deadline:
                raise TopicsError(failure)
            await asyncio.sleep(_POLL_SECONDS)

    async def _views(self) -> list[_Described]:
        """Return the topics as each broker sees them. A dead one is listed for a while."""
        brokers = (await self._admin.describe_cluster())["brokers"]
        request = self._admin._send_request  # noqa: SLF001
        views = [request(MetadataRequest(None), each["node_id"]) for each in brokers]
        return [view.to_object()["topics"] for view in await asyncio.gather(*views)]


def _partitions(topics: _Described) -> dict[str, int]:
    return {topic["topic"]: len(topic["partitions"]) for topic in topics}


def _led(topics: _Described) -> dict[str, int]:
    return _partitions(
        [
            topic
            for topic in topics
            if topic["partitions"] and all(p["leader"] >= 0 for p in topic["partitions"])
        ]
    )


def _require_success(name: str, code: int, text: str | None) -> None:
    """Raise a TopicsError, or the KafkaError if a repetition may succeed."""
    error = for_code(code)
    if code and error.retriable:
        raise error(text or name)
    if code and _FENCED in (text or ""):
        raise NotEnoughReplicasError(f"{name}: {text}")
    if code:
        raise TopicsError(f"{name}: {text or error.__name__}")
