"""The assignor of all groups: carries the members' state to the leader, and plans back.

Faust's assignor moves partitions at each change of the group, and ignores whether rows are
warm; aiokafka's is not sticky. Both leave out a topic that a broker lacks, which has just
started. Since members are static, that assignment would survive their restarts: the
service would look healthy and process nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import orjson
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import (
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)

from agents.runtime.fail_stop import fail_stop
from agents.worker.assignment import Member, MemberPlan, plan

VERSION = 4


class Assignor(AbstractPartitionAssignor):
    """Joins the group with this worker's state; plans for all members as their leader.

    Attributes:
        plan: of this worker.
        members: the number of members that do not leave.
    """

    def __init__(self, app: Any, replicas: int = 0) -> None:
        self._app = app
        self._standbys = replicas
        self.plan = MemberPlan()
        self.members = 0

    @property
    def name(self) -> str:
        """The protocol of the group: that of older releases, whose members may remain."""
        return "faust" if self._app.tables.changelog_topics else "roundrobin"

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """Return this worker's metadata, for the leader."""
        member = self._app.tables.recovery.member()
        fields = asdict(member) | {"owned": sorted(member.owned)}
        user_data = orjson.dumps(fields, option=orjson.OPT_NON_STR_KEYS)
        return ConsumerProtocolMemberMetadata(VERSION, sorted(topics), user_data)

    def assign(
        self,
        cluster: ClusterMetadata,
        members: Mapping[str, ConsumerProtocolMemberMetadata],
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Assign partitions, if the broker has all topics.

        Changelogs are not assigned: a table's partitions are those of its source topic.
        """
        subscribed = {topic for member in members.values() for topic in member.subscription}
        counts = {t: len(cluster.partitions_for_topic(t) or ()) for t in subscribed}
        if missing := sorted(topic for topic, count in counts.items() if not count):
            fail_stop("the broker lacks the topics %s", ", ".join(missing))
        changelogs = self._app.tables.changelog_topics
        described = {name: _member(one.user_data) for name, one in members.items()}
        plans = plan(
            max(counts.values()),
            described,
            self._standbys,
            has_tables=bool(changelogs),
        )
        staying = sum(not member.leaving for member in described.values())
        return {
            name: ConsumerProtocolMemberAssignment(
                VERSION,
                [
                    (topic, sorted(p for p in one.active if p < counts[topic]))
                    for topic in sorted(counts.keys() - changelogs)
                ],
                _user_data(one, staying),
            )
            for name, one in plans.items()
        }

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Keep this worker's plan."""
        active = {p for _, partitions in assignment.assignment for p in partitions}
        fields = _decoded(assignment.user_data)
        self.members = fields.get("members", 0)
        self.plan = MemberPlan(
            active,
            *(set(fields.get(name, ())) for name in ("handed_over", "standby", "warming")),
        )


def _user_data(one: MemberPlan, members: int) -> bytes:
    fields = {name: sorted(numbers) for name, numbers in asdict(one).items()}
    return orjson.dumps(fields | {"members": members})


def _member(user_data: bytes) -> Member:
    fields = _decoded(user_data)
    lags = {int(partition): lag for partition, lag in fields.get("lags", {}).items()}
    owned = frozenset(fields.get("owned", ()))
    return Member(owned, lags, fields.get("leaving", False))


def _decoded(user_data: bytes) -> dict[str, Any]:
    """Decode a member's fields. There are none in the compressed ones of older releases."""
    try:
        fields: dict[str, Any] = orjson.loads(user_data)
    except orjson.JSONDecodeError:
        return {}
    return fields
