"""A change of topics is done when every broker sees it; brokers may be down meanwhile."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.admin import NewTopic
from aiokafka.errors import (
    InvalidReplicationFactorError,
    NodeNotReadyError,
    RequestTimedOutError,
)
from aiokafka.errors import TopicAuthorizationFailedError as ForbiddenError

from topics.kafka import retry, topic_admin
from topics.kafka.settings import KafkaSettings
from topics.kafka.topic_admin import TopicAdmin, TopicsError

FENCED = "All brokers are currently fenced."
NAME, OLD, NEW = "stock.requests", 3, 5
LATE, TIMES = 2, 3
"""The broker that sees each change some requests later than the others."""


class Brokers:
    """An admin client of three brokers.

    Attributes:
        partitions: of the topic; 0: there is none.
        before: what the late broker sees.
        unseen: how often it answers so.
        failures: the results of the next requests for changes: an error, or a code.
    """

    def __init__(self, partitions: int) -> None:
        self.partitions = self.before = partitions
        self.unseen = 0
        self.failures: list[Exception | int] = []

    async def describe_cluster(self) -> dict[str, Any]:
        return {"brokers": [{"node_id": number} for number in (1, LATE, 3)]}

    async def _send_request(self, _request: object, node: int) -> Any:
        partitions = self.partitions
        if node == LATE and self.unseen:
            partitions, self.unseen = self.before, self.unseen - 1
        topic = {"topic": NAME, "partitions": [{"leader": 1}] * partitions}
        topics = [topic] if partitions else []
        return SimpleNamespace(to_object=lambda: {"topics": topics})

    async def delete_topics(self, _names: object) -> Any:
        return SimpleNamespace(topic_error_codes=[(NAME, self._changed_to(0))])

    async def create_topics(self, _topics: object) -> Any:
        return SimpleNamespace(topic_errors=[(NAME, self._changed_to(NEW), FENCED)])

    async def close(self) -> None:
        """Close nothing."""

    def _changed_to(self, partitions: int) -> int:
        failure = self.failures.pop(0) if self.failures else 0
        if isinstance(failure, Exception):
            raise failure
        if not failure:
            self.partitions, self.unseen = partitions, TIMES
        return failure


@pytest.fixture
async def admin(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retry, "_PAUSE_SECONDS", 0)
    monkeypatch.setattr(topic_admin, "_POLL_SECONDS", 0)
    made = TopicAdmin(KafkaSettings())
    yield made
    await made.__aexit__()


def cluster(admin: TopicAdmin, partitions: int, *failures: Exception | int) -> Brokers:
    brokers = Brokers(partitions)
    brokers.failures = [*failures]
    admin._admin = brokers  # noqa: SLF001 -- there is no broker
    return brokers


async def test_a_deleted_topic_is_gone_when_no_broker_sees_it_any_more(admin: TopicAdmin):
    brokers = cluster(admin, OLD)
    await admin.delete(NAME)
    assert brokers.unseen == 0


async def test_a_created_topic_is_there_when_every_broker_sees_its_leaders(
    admin: TopicAdmin,
):
    brokers = cluster(admin, 0)
    await admin.create_and_wait(NAME, NEW, 3, {})
    assert brokers.unseen == 0


@pytest.mark.parametrize(
    "failure", [NodeNotReadyError(), TimeoutError(), RequestTimedOutError.errno]
)
async def test_a_change_is_requested_again_if_a_broker_is_down(
    admin: TopicAdmin, failure: Exception | int
):
    brokers = cluster(admin, OLD, failure)
    await admin.delete(NAME)
    assert brokers.partitions == 0


async def test_a_creation_is_requested_again_while_brokers_are_fenced(admin: TopicAdmin):
    brokers = cluster(admin, 0, InvalidReplicationFactorError.errno)
    await admin.create([NewTopic(NAME, NEW, 1)])
    assert brokers.partitions == NEW


async def test_a_forbidden_change_is_not_requested_again(admin: TopicAdmin):
    brokers = cluster(admin, OLD, ForbiddenError.errno)
    with pytest.raises(TopicsError, match=NAME):
        await admin.delete(NAME)
    assert brokers.partitions == OLD
