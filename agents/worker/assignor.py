"""Assignors that refuse to assign while the broker lacks a topic.

A broker that has just started may lack topics for a while. Faust's and aiokafka's assignors
leave such a topic out. Since members are static, that assignment survives their restarts:
the service looks healthy and processes nothing.
"""

from collections.abc import Mapping
from typing import Any

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors import roundrobin
from faust.assignor import PartitionAssignor

from agents.runtime.fail_stop import fail_stop


class Assignor(PartitionAssignor):
    """Faust's assignor, for services with tables."""

    def assign(self, cluster: ClusterMetadata, member_metadata: Mapping[str, Any]) -> Any:
        """Assign partitions, if the broker has all topics."""
        _require_topics(cluster, member_metadata)
        return super().assign(cluster, member_metadata)


class RoundRobin(roundrobin.RoundRobinPartitionAssignor):
    """aiokafka's assignor, which Faust uses for services without tables."""

    @classmethod
    def assign(cls, cluster: ClusterMetadata, members: Mapping[str, Any]) -> Any:
        """Assign partitions, if the broker has all topics."""
        _require_topics(cluster, members)
        return super().assign(cluster, members)


def _require_topics(cluster: ClusterMetadata, members: Mapping[str, Any]) -> None:
    subscribed = {topic for member in members.values() for topic in member.subscription}
    missing = sorted(t for t in subscribed if not cluster.partitions_for_topic(t))
    if missing:
        fail_stop("the broker lacks the topics %s", ", ".join(missing))
