"""Partitions are assigned only when the broker has all topics."""

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.structs import TopicPartition

from agents.worker import assignor
from agents.worker.assignor import RoundRobin

TOPICS = ["a.requests", "b.requests"]


class _Cluster:
    """The metadata of a broker."""

    def __init__(self, **partitions: int) -> None:
        self._there = {f"{name}.requests": n for name, n in partitions.items()}

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        number = self._there.get(topic)
        return None if number is None else set(range(number))


class _DiedError(Exception):
    """Stands for the end of the process."""


@pytest.fixture(autouse=True)
def _no_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(reason: str, *args: object) -> None:
        raise _DiedError(reason % args)

    monkeypatch.setattr(assignor, "fail_stop", die)


def _assigned(cluster: _Cluster) -> dict[str, list[TopicPartition]]:
    members = {
        name: ConsumerProtocolMemberMetadata(0, TOPICS, b"") for name in ("one", "two")
    }
    given = RoundRobin.assign(cluster, members)
    return {name: each.partitions() for name, each in given.items()}


def test_all_partitions_are_assigned():
    given = _assigned(_Cluster(a=2, b=1))
    assert sum(map(len, given.values())) == 3
    assert all(given.values())


def test_an_assignment_without_a_subscribed_topic_is_refused():
    with pytest.raises(_DiedError, match=r"b\.requests"):
        _assigned(_Cluster(a=2))


def test_an_assignment_without_any_topic_is_refused():
    with pytest.raises(_DiedError, match=r"a\.requests, b\.requests"):
        _assigned(_Cluster())
