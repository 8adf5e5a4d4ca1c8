"""Reads up to end offsets; requests about groups wait for their coordinator."""

from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError as ForbiddenError
from aiokafka.errors import GroupCoordinatorNotAvailableError as NotThereError
from aiokafka.structs import OffsetAndMetadata

from topics.catalog import CART_REQUESTS
from topics.kafka import reader, retry
from topics.kafka.reader import TopicReader, read_to
from topics.kafka.settings import KafkaSettings

DONE, FRESH = (TopicPartition(CART_REQUESTS.name, number) for number in range(2))
OFFSETS = {DONE: OffsetAndMetadata(7, ""), FRESH: OffsetAndMetadata(-1, "")}
LOADING = 14


class Admin:
    """Returns or raises the results of a test, one after the other."""

    def __init__(self, *results):
        self.results = list(results)

    async def describe_topics(self, names):
        return [{"topic": name, "partitions": [0, 1]} for name in names]

    async def list_consumer_group_offsets(self, group, partitions=None):
        return self._next()

    async def describe_consumer_groups(self, groups):
        error, state = self._next()
        return [SimpleNamespace(groups=[(error, groups[0], state, "", "", [])])]

    async def close(self):
        """Close nothing."""

    def _next(self):
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


@pytest.fixture
async def reader_of(monkeypatch):
    """Make a reader of a cluster with these results."""
    monkeypatch.setattr(retry, "_PAUSE_SECONDS", 0)
    one = TopicReader(KafkaSettings())

    def with_results(*results):
        one._admin = Admin(*results)  # noqa: SLF001 -- there is no broker
        return one

    yield with_results
    await one.__aexit__()


async def test_committed_offsets_are_read_once_the_coordinator_has_them(reader_of):
    """A response without the requested partitions is an error."""
    one = reader_of(NotThereError(), {}, {DONE: OFFSETS[DONE]}, OFFSETS)
    assert await one.committed({CART_REQUESTS: "checkout"}) == {DONE: 7}


@pytest.mark.parametrize(("state", "members"), [("Stable", True), ("Empty", False)])
async def test_members_of_a_group_are_read_once_the_coordinator_has_them(
    reader_of, state: str, members: bool
):
    one = reader_of(NotThereError(), (LOADING, ""), (0, state))
    assert await one.has_members("checkout") == members


async def test_a_forbidden_request_is_not_retried(reader_of):
    one = reader_of(ForbiddenError(), OFFSETS)
    with pytest.raises(ForbiddenError):
        await one.committed({CART_REQUESTS: "checkout"})


class Consumer:
    """A consumer of one partition, which fetches up to two records at once."""

    def __init__(self, offsets):
        self.offsets = offsets
        self.next = 0

    async def position(self, tp):
        return self.next

    async def getmany(self, *tps, **limits):
        found = [SimpleNamespace(offset=o) for o in self.offsets if o >= self.next][:2]
        if not found:
            return {}
        self.next = found[-1].offset + 1
        return {DONE: found}


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ([0, 1, 2, 3, 4], [[0, 1], [2]]),
        ([0, 1, 3, 4], [[0, 1]]),  # the records before the end were compacted
        ([], []),
    ],
)
async def test_records_are_read_up_to_the_end_and_no_list_is_empty(offsets, expected):
    end = 3 if offsets else 0
    read = read_to(Consumer(offsets), {DONE: end})
    assert [[r.offset for r in records] async for _, records in read] == expected


async def test_a_partition_that_ends_too_early_is_an_error(monkeypatch):
    monkeypatch.setattr(reader, "_STALL_SECONDS", 0.0)
    with pytest.raises(TimeoutError, match=r"no more records of .* before their ends"):
        [_ async for _ in read_to(Consumer([0]), {DONE: 2})]
