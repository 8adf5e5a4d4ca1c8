"""Who gets which partitions: never decided by a worker that does not know all topics.

A broker that has just started may not know its topics yet. Faust's and aiokafka's assignors
leave such a topic out; and since the members are static, that assignment stays however
often they restart (T17): a service that looks well and serves nobody.
"""

from collections.abc import Mapping
from typing import Any

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors import roundrobin
from faust.assignor import PartitionAssignor

from agents.runtime.fail_stop import fail_stop


class Assignor(PartitionAssignor):
    """Faust's, for services with tables."""

    def assign(self, cluster: ClusterMetadata, member_metadata: Mapping[str, Any]) -> Any:
        """Assign partitions, if all topics are known."""
        _require_topics(cluster, member_metadata)
        return super().assign(cluster, member_metadata)


class RoundRobin(roundrobin.RoundRobinPartitionAssignor):
    """aiokafka's, which faust takes for services without tables."""

    @classmethod
    def assign(cls, cluster: ClusterMetadata, members: Mapping[str, Any]) -> Any:
        """Assign partitions, if all topics are known."""
        _require_topics(cluster, members)
        return super().assign(cluster, members)


def _require_topics(cluster: ClusterMetadata, members: Mapping[str, Any]) -> None:
    wanted = {topic for member in members.values() for topic in member.subscription}
    missing = sorted(t for t in wanted if not cluster.partitions_for_topic(t))
    if missing:
        fail_stop("the broker does not know the topics %s", ", ".join(missing))
