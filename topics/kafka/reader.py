"""Reads topics of a running shop, up to end offsets that were fetched once."""

import asyncio
import heapq
import re
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterable, Mapping
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import GroupLoadInProgressError, for_code
from aiokafka.structs import ConsumerRecord

from topics.kafka.location import partition_of
from topics.kafka.retry import retry
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic

_MAX_POLL_RECORDS = 2000
_POLL_MS = 200
_FETCH_BYTES = 4 * 2**20
_STALL_SECONDS = 60.0
_SUFFIX = re.compile(r"-[0-9A-Za-z_-]{22}$|-[0-9a-f-]{36}$")
"""What a broker appends to a member's name."""

_AGE = attrgetter("timestamp", "topic", "partition", "offset")


class ReadError(Exception):
    """The requested topics or offsets can't be read; the message gives the reason."""


class OffsetRange(NamedTuple):
    """Offsets of a partition, from `begin` up to, and without, `end`."""

    begin: int
    end: int


OffsetRanges = Mapping[TopicPartition, OffsetRange]
PartitionRecords = tuple[TopicPartition, list[ConsumerRecord]]


async def read_to(
    consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]
) -> AsyncIterator[PartitionRecords]:
    """Yield the records of assigned partitions, from their positions up to their ends.

    A list has records of one partition, in log order; it is not empty, and has at most
    `max_poll_records` of the consumer.

    Raises:
        TimeoutError: no partition makes progress before its end.
    """
    left, last_progress = set(ends), time.monotonic()
    while left := {tp for tp in left if await consumer.position(tp) < ends[tp]}:
        fetched = await consumer.getmany(*left, timeout_ms=_POLL_MS)
        for tp, records in fetched.items():
            if count := bisect_left(records, ends[tp], key=attrgetter("offset")):
                yield tp, records[:count]
            await asyncio.sleep(0)  # getmany does not yield while it has records
        if fetched:
            last_progress = time.monotonic()
        elif time.monotonic() - last_progress > _STALL_SECONDS:
            raise TimeoutError(f"no more records of {sorted(left)} before their ends")


class TopicReader:
    """Reads the shop's topics; commits nothing and joins no group.

    Args:
        wait_ms: how long a broker waits for new records. A reader that reads one small
            partition after the other must not wait at the end of each.
    """

    def __init__(self, cluster: KafkaSettings, wait_ms: int = _POLL_MS) -> None:
        options = cluster.client_options()
        self._admin = AIOKafkaAdminClient(**options)
        self._consumer = AIOKafkaConsumer(
            **options,
            enable_auto_commit=False,
            # A deleted offset raises; the default would skip it.
            auto_offset_reset="none",
            max_partition_fetch_bytes=_FETCH_BYTES,
            max_poll_records=_MAX_POLL_RECORDS,
            fetch_max_wait_ms=wait_ms,
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
        """Return the names of all topics except Kafka's own."""
        names = await retry(self._admin.list_topics)
        return sorted(name for name in names if not name.startswith("__"))

    async def partitions(self, topics: Iterable[Topic]) -> dict[Topic, int]:
        """Return each topic's number of partitions.

        Raises:
            ReadError: a topic is missing.
        """
        wanted = {topic.name: topic for topic in topics}
        described = await retry(partial(self._admin.describe_topics, [*wanted]))
        counts = {topic["topic"]: len(topic["partitions"]) for topic in described}
        if missing := ", ".join(name for name in wanted if not counts.get(name)):
            raise ReadError(f"there are no topics {missing}, or no right to see them")
        return {topic: counts[name] for name, topic in wanted.items()}

    async def committed(self, groups: Mapping[Topic, str]) -> dict[TopicPartition, int]:
        """Return the offsets that the consumer groups of topics have committed."""
        offsets: dict[TopicPartition, int] = {}
        partitions = await self.partitions(groups)
        for group in set(groups.values()):
            of_group = {t: count for t, count in partitions.items() if groups[t] == group}
            offsets |= await retry(partial(self._committed, group, _tps(of_group)))
        return offsets

    async def committed_by_others(
        self, own: set[str], topics: Iterable[Topic]
    ) -> dict[str, dict[TopicPartition, int]]:
        """Return the offsets that all other groups have committed, by group."""
        groups = {name for name, *_ in await retry(self._admin.list_consumer_groups)}
        tps = _tps(await self.partitions(topics))
        return {
            group: await retry(partial(self._committed, group, tps))
            for group in sorted(groups - own)
        }

    async def has_members(self, group: str) -> bool:
        """Return whether a group has members."""
        state, _ = await retry(partial(self._describe, group))
        return state not in ("Empty", "Dead")

    async def owners(self, group: str) -> tuple[str, dict[TopicPartition, str]]:
        """Return a group's state, and the member that owns each partition: name@host."""
        state, members = await retry(partial(self._describe, group))
        owners = {
            tp: f"{_SUFFIX.sub('', name)}@{host.removeprefix('/')}"
            for name, _, host, _, assigned in members
            if assigned  # empty during a rebalance
            for tp in ConsumerProtocolMemberAssignment.decode(assigned).partitions()
        }
        return state, owners

    async def offset_ranges(
        self, partitions: Mapping[Topic, int]
    ) -> dict[TopicPartition, OffsetRange]:
        """Return the current offset range of each partition."""
        tps = _tps(partitions)
        begins = await self._consumer.beginning_offsets(tps)
        ends = await self._consumer.end_offsets(tps)
        return {tp: OffsetRange(begins[tp], ends[tp]) for tp in tps}

    def read(self, ranges: OffsetRanges) -> AsyncIterator[PartitionRecords]:
        """Return the records of offset ranges, as `read_to` yields them."""
        ends = {tp: part.end for tp, part in ranges.items() if part.begin < part.end}
        if ends:  # stopping a consumer right after an assignment never ends
            self._consumer.assign([*ends])
        for tp in ends:
            self._consumer.seek(tp, ranges[tp].begin)
        return read_to(self._consumer, ends)

    async def read_partition_of(
        self, topic: Topic, key: bytes
    ) -> AsyncIterator[ConsumerRecord]:
        """Yield all records of a key's partition, other keys' too, in log order."""
        partitions = await self.partitions([topic])
        tp = TopicPartition(topic.name, partition_of(key, partitions[topic]))
        ranges = await self.offset_ranges(partitions)
        async for _, records in self.read({tp: ranges[tp]}):
            for record in records:
                yield record

    async def tail(self, topics: Iterable[Topic], limit: int) -> list[ConsumerRecord]:
        """Return the newest records of topics, up to a limit; the newest one is last."""
        ranges = await self.offset_ranges(await self.partitions(topics))
        # One partition holds at most all of them.
        ends = {
            tp: OffsetRange(max(part.begin, part.end - limit), part.end)
            for tp, part in ranges.items()
        }
        newest: list[ConsumerRecord] = []
        async for _, records in self.read(ends):
            newest = heapq.nlargest(limit, [*newest, *records], key=_AGE)
        return newest[::-1]

    async def _committed(
        self, group: str, tps: list[TopicPartition]
    ) -> dict[TopicPartition, int]:
        answer = await self._admin.list_consumer_group_offsets(group, partitions=tps)
        # aiokafka ignores a coordinator's error, whose response has no partitions.
        if missing := set(tps) - answer.keys():
            raise GroupLoadInProgressError(f"no offsets of {group} for {missing}")
        return {tp: found.offset for tp, found in answer.items() if found.offset >= 0}

    async def _describe(self, group: str) -> tuple[str, list[Any]]:
        (answer,) = await self._admin.describe_consumer_groups([group])
        ((error, _, state, _, _, members, *_),) = answer.groups
        if error:
            raise for_code(error)(group)
        return str(state), members


def _tps(partitions: Mapping[Topic, int]) -> list[TopicPartition]:
    return [
        TopicPartition(topic.name, number)
        for topic, count in partitions.items()
        for number in range(count)
    ]
