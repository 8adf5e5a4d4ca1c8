"""Creates, changes and deletes topics by their names, and waits until that is visible."""

import asyncio
import time
from collections.abc import Iterable
from typing import NamedTuple, Self

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from topics.cli import CommandError
from topics.kafka.settings import KafkaSettings

_SECONDS = 60.0
_POLL_SECONDS = 0.05
_SET_ON_TOPIC = 1  # Kafka's number for a setting whose source is the topic itself


class ExistingTopic(NamedTuple):
    """A topic of the cluster; `config` has the settings of the topic itself."""

    partitions: int
    replication: int
    config: dict[str, str]


class TopicAdmin:
    """The topics of a cluster.

    Each method raises a CommandError if the cluster refuses the change, or is too slow.
    """

    def __init__(self, cluster: KafkaSettings) -> None:
        self._admin = AIOKafkaAdminClient(**cluster.client_options())

    async def __aenter__(self) -> Self:
        await self._admin.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()

    async def partitions(self, name: str) -> int:
        """Return the number of partitions of a topic; 0: there is none."""
        found = await self._admin.describe_topics()
        return next((len(t["partitions"]) for t in found if t["topic"] == name), 0)

    async def existing(self, names: Iterable[str]) -> dict[str, ExistingTopic]:
        """Return the topics of these names that exist."""
        wanted, topics = {*names}, await self._admin.describe_topics()
        described = {each["topic"]: each for each in topics if each["topic"] in wanted}
        if not described:
            return {}
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in described]
        found = {}
        for response in await self._admin.describe_configs(resources):
            for code, text, _, name, settings in response.resources:
                _require_success(name, code, text)
                partitions = described[name]["partitions"]
                found[name] = ExistingTopic(
                    len(partitions),
                    len(partitions[0]["replicas"]),
                    {each[0]: each[1] for each in settings if each[3] == _SET_ON_TOPIC},
                )
        return found

    async def create(
        self, name: str, partitions: int, replication: int, config: dict[str, str]
    ) -> None:
        """Create a topic unless it exists; return when all partitions have a leader."""
        new = NewTopic(name, partitions, replication, topic_configs=config)
        for _, code, text in (await self._admin.create_topics([new])).topic_errors:
            if code != TopicAlreadyExistsError.errno:
                _require_success(name, code, text)
        deadline = time.monotonic() + _SECONDS
        while not await self._is_led(name, partitions):
            if time.monotonic() > deadline:
                raise CommandError(f"{name}: its {partitions} partitions have no leaders")
            await asyncio.sleep(_POLL_SECONDS)

    async def delete(self, name: str) -> None:
        """Delete a topic if it exists; return when it is gone."""
        for _, code in (await self._admin.delete_topics([name])).topic_error_codes:
            if code != UnknownTopicOrPartitionError.errno:
                _require_success(name, code, None)
        deadline = time.monotonic() + _SECONDS
        while await self.partitions(name):
            if time.monotonic() > deadline:
                raise CommandError(f"{name} is still there, though it was deleted")
            await asyncio.sleep(_POLL_SECONDS)

    async def configure(self, name: str, config: dict[str, str]) -> None:
        """Replace the settings of a topic."""
        resource = ConfigResource(ConfigResourceType.TOPIC, name, config)
        for response in await self._admin.alter_configs([resource]):
            for code, text, *_ in response.resources:
                _require_success(name, code, text)

    async def delete_records(self, name: str, before: list[int]) -> None:
        """Delete the records below these offsets, one for each partition."""
        offsets = {
            TopicPartition(name, number): RecordsToDelete(offset)
            for number, offset in enumerate(before)
            if offset
        }
        if offsets:
            await self._admin.delete_records(offsets)

    async def other_groups(
        self, own: set[str], topics: set[str]
    ) -> dict[str, dict[str, dict[int, int]]]:
        """Return the offsets of all other groups, by topic, group and partition."""
        found: dict[str, dict[str, dict[int, int]]] = {}
        groups = {group for group, *_ in await self._admin.list_consumer_groups()}
        for group in sorted(groups - own):
            offsets = await self._admin.list_consumer_group_offsets(group)
            for tp, committed in offsets.items():
                if tp.topic in topics and committed.offset >= 0:
                    of_topic = found.setdefault(tp.topic, {}).setdefault(group, {})
                    of_topic[tp.partition] = committed.offset
        return found

    async def _is_led(self, name: str, partitions: int) -> bool:
        for topic in await self._admin.describe_topics():
            if topic["topic"] == name:
                leaders = [each["leader"] >= 0 for each in topic["partitions"]]
                return len(leaders) == partitions and all(leaders)
        return False


def _require_success(name: str, code: int, text: str | None) -> None:
    if code:
        raise CommandError(f"{name}: {text or for_code(code).__name__}")
