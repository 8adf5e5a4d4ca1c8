"""Reading logs on a running shop: up to offsets that were taken once, and no further."""

import asyncio
import heapq
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Self, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.consumer import fetcher
from aiokafka.errors import GroupLoadInProgressError, KafkaError, for_code
from aiokafka.structs import ConsumerRecord

from agents.runtime.producer import partition_of
from topics.kafka.lenient_records import LenientRecords
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic

_AT_ONCE = 2000
_POLL_MS = 200
_FETCH_BYTES = 4 * 2**20
_SILENCE = timedelta(seconds=60)
_EMPTY_GROUPS = ("Empty", "Dead")
_COORDINATION = timedelta(seconds=60)
_LOOK_SECONDS = 0.2

T = TypeVar("T")


class ReadError(Exception):
    """There is nothing to audit, or no way to it; the message says why, for people."""


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """What a partition holds: offsets from `begin` on, and none from `end` on."""

    begin: int
    end: int


OffsetRanges = Mapping[TopicPartition, OffsetRange]


class TopicReader:
    """The shop's topics, for reading; commits nothing and joins no group.

    Args:
        cluster: how to reach the brokers.
    """

    def __init__(self, cluster: KafkaSettings) -> None:
        fetcher.MemoryRecords = LenientRecords  # as the workers do: the same bytes count
        options = cluster.client_options()
        self._admin = AIOKafkaAdminClient(**options)
        self._consumer = AIOKafkaConsumer(
            **options,
            enable_auto_commit=False,
            # What is not there any more is an error, and not to be passed over.
            auto_offset_reset="none",
            max_partition_fetch_bytes=_FETCH_BYTES,
            fetch_max_wait_ms=_POLL_MS,
        )

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
            await self._admin.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()
        await self._admin.close()

    async def names(self) -> list[str]:
        """Return the names of all topics but Kafka's own."""
        there = await self._admin.list_topics()
        return sorted(name for name in there if not name.startswith("__"))

    async def partitions(self, topics: Iterable[Topic]) -> dict[Topic, int]:
        """Return how many partitions each topic has.

        Raises:
            CannotAuditError: one is missing.
        """
        wanted = {topic.name: topic for topic in topics}
        there = await self._admin.describe_topics([*wanted])
        found = {topic["topic"]: len(topic["partitions"]) for topic in there}
        if missing := [name for name in wanted if not found.get(name)]:
            raise ReadError(
                f"there are no topics {', '.join(missing)}, or no right to see them"
            )
        return {topic: found[name] for name, topic in wanted.items()}

    async def committed(self, groups: Mapping[Topic, str]) -> dict[TopicPartition, int]:
        """Return up to where the readers of topics are done with them."""
        read = defaultdict[str, list[TopicPartition]](list)
        for topic, there in (await self.partitions(groups)).items():
            read[groups[topic]] += [TopicPartition(topic.name, n) for n in range(there)]
        found: dict[TopicPartition, int] = {}
        for group, tps in read.items():
            found |= await _retry(partial(self._committed, group, tps))
        return found

    async def has_members(self, group: str) -> bool:
        """Tell whether anybody reads for a group."""
        return await _retry(partial(self._state, group)) not in _EMPTY_GROUPS

    async def offset_ranges(
        self, partitions: Mapping[Topic, int]
    ) -> dict[TopicPartition, OffsetRange]:
        """Return what each partition holds now."""
        tps = [
            TopicPartition(topic.name, number)
            for topic, there in partitions.items()
            for number in range(there)
        ]
        begins = await self._consumer.beginning_offsets(tps)
        ends = await self._consumer.end_offsets(tps)
        return {tp: OffsetRange(begins[tp], ends[tp]) for tp in tps}

    async def read(
        self, spans: OffsetRanges
    ) -> AsyncIterator[tuple[TopicPartition, list[ConsumerRecord]]]:
        """Yield what partitions hold, each in log order.

        Raises:
            TimeoutError: nothing more comes, though there should be more.
        """
        left = {tp for tp, span in spans.items() if span.begin < span.end}
        if not left:  # a consumer that is stopped right after an assignment never ends
            return
        self._consumer.assign(list(left))
        for tp in left:
            self._consumer.seek(tp, spans[tp].begin)
        heard = time.monotonic()
        while left:
            fetched = await self._fetch(left)
            for tp, records in fetched.items():
                yield tp, [record for record in records if record.offset < spans[tp].end]
            if fetched:
                heard = time.monotonic()
            elif time.monotonic() - heard > _SILENCE.total_seconds():
                raise TimeoutError(f"nothing more comes of {sorted(left)}")
            left = {tp for tp in left if await self._consumer.position(tp) < spans[tp].end}

    async def read_partition_of(
        self, topic: Topic, key: bytes
    ) -> AsyncIterator[ConsumerRecord]:
        """Yield what the partition of a key holds, in log order: others' records, too."""
        partitions = await self.partitions([topic])
        tp = TopicPartition(topic.name, partition_of(key, partitions[topic]))
        spans = await self.offset_ranges(partitions)
        async for _, records in self.read({tp: spans[tp]}):
            for record in records:
                yield record

    async def tail(self, topics: Iterable[Topic], most: int) -> list[ConsumerRecord]:
        """Return so many records at most; the last one is the newest."""
        spans = await self.offset_ranges(await self.partitions(topics))
        # No more than so many of any partition can be among them.
        ends = {
            tp: OffsetRange(max(s.begin, s.end - most), s.end) for tp, s in spans.items()
        }
        found: list[ConsumerRecord] = []
        async for _, records in self.read(ends):
            found = heapq.nlargest(most, [*found, *records], key=_age)
        return found[::-1]

    async def _committed(
        self, group: str, tps: list[TopicPartition]
    ) -> dict[TopicPartition, int]:
        answer = await self._admin.list_consumer_group_offsets(group, partitions=tps)
        # aiokafka overlooks a coordinator's refusal, in which there are no partitions.
        if missing := set(tps) - answer.keys():
            raise GroupLoadInProgressError(f"nothing is said of {group} on {missing}")
        return {tp: there.offset for tp, there in answer.items() if there.offset >= 0}

    async def _state(self, group: str) -> str:
        (answer,) = await self._admin.describe_consumer_groups([group])
        ((error, _, state, *_),) = answer.groups
        if error:
            raise for_code(error)(group)
        return str(state)

    async def _fetch(self, left: Iterable[TopicPartition]) -> dict[Any, Any]:
        fetched: dict[Any, Any] = await self._consumer.getmany(
            *left, timeout_ms=_POLL_MS, max_records=_AT_ONCE
        )
        return fetched


def _age(record: ConsumerRecord) -> tuple[int, str, int, int]:
    return record.timestamp, record.topic, record.partition, record.offset


async def _retry(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask a group's coordinator, who may not be there yet or not know his groups yet."""
    deadline = time.monotonic() + _COORDINATION.total_seconds()
    while True:
        try:
            return await ask()
        except KafkaError as error:
            if not error.retriable or time.monotonic() > deadline:
                raise
        await asyncio.sleep(_LOOK_SECONDS)
