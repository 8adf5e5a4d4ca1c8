"""Groups are asked about until their coordinator is there and knows them."""

from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError as ForbiddenError
from aiokafka.errors import GroupCoordinatorNotAvailableError as NotThereError
from aiokafka.structs import OffsetAndMetadata

from topics.catalog import CART_REQUESTS
from topics.kafka import reader
from topics.kafka.reader import TopicReader
from topics.kafka.settings import KafkaSettings

DONE, FRESH = (TopicPartition(CART_REQUESTS.name, number) for number in range(2))
OFFSETS = {DONE: OffsetAndMetadata(7, ""), FRESH: OffsetAndMetadata(-1, "")}
LOADING = 14


class Admin:
    """Gives the answers that a test has laid out, one after the other."""

    def __init__(self, *answers):
        self.answers = list(answers)

    async def describe_topics(self, names):
        return [{"topic": name, "partitions": [0, 1]} for name in names]

    async def list_consumer_group_offsets(self, group, partitions=None):
        return self._next()

    async def describe_consumer_groups(self, groups):
        error, state = self._next()
        return [SimpleNamespace(groups=[(error, groups[0], state, "", "", [])])]

    async def close(self):
        """End what was never begun."""

    def _next(self):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
async def ask(monkeypatch):
    """Make logs of a cluster that answers so."""
    monkeypatch.setattr(reader, "_LOOK_SECONDS", 0)
    there = TopicReader(KafkaSettings())

    def answering(*answers):
        there._admin = Admin(*answers)  # noqa: SLF001 -- there is no broker
        return there

    yield answering
    await there.__aexit__()


async def test_what_a_group_has_committed_is_known_once_its_coordinator_knows(ask):
    """An answer without the partitions that were asked about is no answer."""
    there = ask(NotThereError(), {}, {DONE: OFFSETS[DONE]}, OFFSETS)
    assert await there.committed({CART_REQUESTS: "checkout"}) == {DONE: 7}


@pytest.mark.parametrize(("state", "members"), [("Stable", True), ("Empty", False)])
async def test_whether_a_group_has_members_is_known_once_its_coordinator_knows(
    ask, state: str, members: bool
):
    there = ask(NotThereError(), (LOADING, ""), (0, state))
    assert await there.has_members("checkout") == members


async def test_what_may_not_be_asked_is_not_asked_again(ask):
    there = ask(ForbiddenError(), OFFSETS)
    with pytest.raises(ForbiddenError):
        await there.committed({CART_REQUESTS: "checkout"})
