"""Plans which members of a group own which partitions: a pure function.

The plan is balanced and sticky. A partition moves only to a member whose rows are warm, and
is served by its owner until then. A partition without an owner goes to the member with the
fewest changelog records to read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf

WARM_RECORDS = 10_000
"""Rows that lag by at most so many changelog records are warm: they take 0.1 s to read.
Kafka Streams' `acceptable.recovery.lag` has the same default."""


@dataclass(frozen=True)
class Member:
    """A member of the group, as it describes itself when it joins.

    Attributes:
        owned: the partitions that it owns.
        lags: of other partitions of which it has rows: changelog records to read.
        leaving: whether it stops, and hands over its partitions before.
    """

    owned: frozenset[int] = frozenset()
    lags: Mapping[int, int] = field(default_factory=dict)
    leaving: bool = False

    def lag(self, partition: int) -> float:
        """Return the changelog records to read before it could serve a partition."""
        return 0 if partition in self.owned else self.lags.get(partition, inf)


@dataclass
class MemberPlan:
    """The partitions of a member.

    Attributes:
        active: it serves them.
        handed_over: those of `active` that another member owns until it releases them.
        standby: it follows their changelogs.
        warming: those of `standby` that it is to own once its rows are warm.
    """

    active: set[int] = field(default_factory=set)
    handed_over: set[int] = field(default_factory=set)
    standby: set[int] = field(default_factory=set)
    warming: set[int] = field(default_factory=set)


def plan(
    partitions: int, members: Mapping[str, Member], standbys: int, *, has_tables: bool
) -> dict[str, MemberPlan]:
    """Return the plan of each member.

    Members that leave keep partitions for which no other member is warm. If all members
    leave, no partition has an owner.

    Args:
        partitions: how many there are.
        members: by id.
        standbys: how many members follow each partition, besides its owner.
        has_tables: whether a member needs rows to serve a partition.
    """
    plans = {name: MemberPlan() for name in members}
    staying = {name: one for name, one in sorted(members.items()) if not one.leaving}
    if not staying:
        return plans
    owners = {p: name for name, one in sorted(members.items()) for p in one.owned}
    for partition, target in sorted(_balanced(partitions, staying, owners).items()):
        owner = owners.get(partition, target)
        if has_tables and members[target].lag(partition) > WARM_RECORDS and owner != target:
            plans[owner].active.add(partition)
            plans[target].standby.add(partition)
            plans[target].warming.add(partition)
        else:
            plans[target].active.add(partition)
            if owner != target:
                plans[target].handed_over.add(partition)
    if has_tables:
        _add_standbys(partitions, staying, standbys, plans)
    return plans


def _balanced(
    partitions: int, members: Mapping[str, Member], owners: Mapping[int, str]
) -> dict[int, str]:
    """Return an owner for each partition: as many for each member, and as now if possible.

    A member with too many keeps those for which the others' rows are furthest behind.
    """
    owned: dict[str, list[int]] = {name: [] for name in members}
    for partition, owner in owners.items():
        if owner in owned and partition < partitions:
            owned[owner].append(partition)
    room = _quotas(partitions, owned)
    targets: dict[int, str] = {}
    for name, own in owned.items():
        needy = [m for other, m in members.items() if len(owned[other]) < room[other]]

        def distance(partition: int, needy: Iterable[Member] = needy) -> float:
            return min((member.lag(partition) for member in needy), default=inf)

        kept = sorted(own, key=distance, reverse=True)[: room[name]]
        targets |= dict.fromkeys(kept, name)
    left = {name: room[name] - list(targets.values()).count(name) for name in members}
    for partition in range(partitions):
        if partition not in targets:
            free = (name for name in members if left[name])
            to = min(free, key=lambda n: (members[n].lag(partition), -left[n], n))
            targets[partition] = to
            left[to] -= 1
    return targets


def _quotas(partitions: int, owned: Mapping[str, list[int]]) -> dict[str, int]:
    """Return how many partitions each member is to own; who owns more gets the excess."""
    share, excess = divmod(partitions, len(owned))
    by_size = sorted(owned, key=lambda name: (-len(owned[name]), name))
    return {name: share + (n < excess) for n, name in enumerate(by_size)}


def _add_standbys(
    partitions: int,
    members: Mapping[str, Member],
    standbys: int,
    plans: Mapping[str, MemberPlan],
) -> None:
    """Let members follow partitions, preferably those of which they have rows."""
    for partition in range(partitions):
        others = [name for name in members if partition not in plans[name].active]
        others.sort(key=lambda n: (members[n].lag(partition), len(plans[n].standby), n))
        for name in others[:standbys]:
            plans[name].standby.add(partition)
