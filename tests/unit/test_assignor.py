"""The plan of a group, and how the assignor carries it."""

from types import SimpleNamespace

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from hypothesis import given
from hypothesis import strategies as st

from agents.worker import assignor
from agents.worker.assignment import WARM_RECORDS, Member, plan
from agents.worker.assignor import Assignor

TOPICS = ["a.requests", "b.requests"]
COLD = WARM_RECORDS + 1


def planned(members, partitions=8, standbys=0, *, has_tables=True):
    return plan(partitions, members, standbys, has_tables=has_tables)


def active(plans):
    return {name: sorted(one.active) for name, one in plans.items()}


def owner(*partitions, leaving=False, **lags):
    by_number = {int(name[1:]): lag for name, lag in lags.items()}
    return Member(frozenset(partitions), by_number, leaving)


@st.composite
def groups(draw):
    partitions = draw(st.integers(1, 12))
    names = draw(st.lists(st.sampled_from("abcde"), min_size=1, unique=True))
    owners = draw(st.lists(st.sampled_from([*names, ""]), min_size=12, max_size=12))
    lag = st.dictionaries(st.integers(0, 11), st.sampled_from([0, WARM_RECORDS, COLD]))
    members = {
        name: Member(
            frozenset(p for p in range(partitions) if owners[p] == name),
            draw(lag),
            draw(st.booleans()),
        )
        for name in names
    }
    return partitions, members


@given(groups(), st.integers(0, 2), st.booleans())
def test_each_partition_has_one_owner_unless_all_members_leave(group, standbys, tables):
    partitions, members = group
    plans = plan(partitions, members, standbys, has_tables=tables)
    owned = sorted(p for one in plans.values() for p in one.active)
    all_leave = all(member.leaving for member in members.values())
    assert owned == ([] if all_leave else list(range(partitions)))


@given(groups(), st.integers(0, 2))
def test_a_partition_moves_only_to_a_member_that_is_warm(group, standbys):
    partitions, members = group
    owners = {p: name for name, one in members.items() for p in one.owned}
    for name, one in plan(partitions, members, standbys, has_tables=True).items():
        for partition in one.active & owners.keys():
            if owners[partition] != name:
                assert members[name].lag(partition) <= WARM_RECORDS
                assert partition in one.handed_over
        assert one.handed_over <= one.active
        assert not one.standby & one.active
        assert one.warming <= one.standby


@given(groups(), st.integers(0, 2))
def test_a_group_settles_once_all_warm_up(group, standbys):
    partitions, members = group
    for _ in range(6):  # 4 at most, in 60,000 random groups
        plans = plan(partitions, members, standbys, has_tables=True)
        members = {
            name: Member(
                frozenset(one.active), dict.fromkeys(one.standby, 0), members[name].leaving
            )
            for name, one in plans.items()
            if one.active or not members[name].leaving
        }
    sizes = [len(member.owned) for member in members.values()]
    if sizes and sum(sizes):
        assert max(sizes) - min(sizes) <= 1
        again = plan(partitions, members, standbys, has_tables=True)
        assert {name: one.active for name, one in again.items()} == {
            name: member.owned for name, member in members.items()
        }


def test_a_new_member_warms_up_its_share_before_it_gets_it():
    first = {"a": owner(*range(8)), "b": Member()}
    plans = planned(first)
    assert active(plans) == {"a": list(range(8)), "b": []}
    warming = plans["b"].warming
    assert len(warming) == 4
    lags = dict.fromkeys(warming, WARM_RECORDS)
    plans = planned({"a": owner(*range(8)), "b": Member(lags=lags)})
    assert plans["b"].active == plans["b"].handed_over == warming


def test_a_member_without_tables_gets_its_share_at_once():
    plans = planned({"a": owner(*range(8)), "b": Member()}, has_tables=False)
    assert [len(one.active) for one in plans.values()] == [4, 4]
    assert not plans["b"].standby


def test_an_orphaned_partition_goes_to_its_standby():
    members = {"a": owner(0, 1), "b": owner(2, 3, _4=COLD, _5=0), "c": owner(_4=0, _5=COLD)}
    plans = planned(members, partitions=6)
    assert 5 in plans["b"].active | plans["c"].active
    assert 4 in plans["c"].active
    assert not plans["c"].handed_over


def test_orphaned_partitions_go_to_those_that_are_warm_for_them():
    members = {"a": owner(0, _2=COLD, _3=0), "b": owner(1, _2=0, _3=COLD)}
    assert active(planned(members, partitions=4)) == {"a": [0, 3], "b": [1, 2]}


def test_a_leaving_member_serves_until_another_is_warm():
    leaving = owner(*range(4), leaving=True)
    plans = planned({"a": leaving, "b": owner(*range(4, 8))})
    assert active(plans) == {"a": [0, 1, 2, 3], "b": [4, 5, 6, 7]}
    warm = owner(*range(4, 8), _0=0, _1=0, _2=0, _3=0)
    plans = planned({"a": leaving, "b": warm})
    assert active(plans) == {"a": [], "b": list(range(8))}


def test_each_partition_has_as_many_standbys_as_wanted():
    members = {"a": owner(0, 1, 2), "b": owner(3, 4, 5), "c": owner(6, 7)}
    plans = planned(members, standbys=1)
    assert sorted(p for one in plans.values() for p in one.standby) == list(range(8))


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


def joined(member: Member, changelogs: frozenset[str] = frozenset()) -> Assignor:
    """Return the assignor of a worker with this state."""
    recovery = SimpleNamespace(member=lambda: member)
    tables = SimpleNamespace(recovery=recovery, changelog_topics=changelogs)
    return Assignor(SimpleNamespace(tables=tables))


def assigned(cluster: _Cluster, **members: Member) -> dict[str, Assignor]:
    joining = {name: joined(member) for name, member in members.items()}
    metadata = {name: one.metadata(TOPICS) for name, one in joining.items()}
    for name, given_ in next(iter(joining.values())).assign(cluster, metadata).items():
        joining[name].on_assignment(given_)
    return joining


def test_the_plan_of_the_leader_arrives():
    first, second = assigned(
        _Cluster(a=4, b=4), one=owner(0, 1, 2, 3), two=owner(_2=0, _3=0)
    ).values()
    assert first.plan.active == {0, 1}
    assert second.plan.active == second.plan.handed_over == {2, 3}
    assert first.members == second.members == 2


def test_members_of_an_older_release_own_nothing():
    leader = joined(owner(0))
    old = ConsumerProtocolMemberMetadata(4, TOPICS, b"x\x9c\xab")
    there = {"new": leader.metadata(TOPICS), "old": old}
    given_ = leader.assign(_Cluster(a=2, b=2), there)
    assert [len(one.assignment[0][1]) for one in given_.values()] == [1, 1]
    given_["new"].user_data = old.user_data
    leader.on_assignment(given_["new"])
    assert leader.plan.active == {0}
    assert not leader.plan.standby


@pytest.mark.parametrize(("changelogs", "name"), [((), "roundrobin"), (("a",), "faust")])
def test_a_group_has_the_protocol_of_older_releases(changelogs, name):
    assert joined(Member(), frozenset(changelogs)).name == name


def test_an_assignment_without_a_subscribed_topic_is_refused():
    with pytest.raises(_DiedError, match=r"b\.requests"):
        assigned(_Cluster(a=2), one=Member())


def test_an_assignment_without_any_topic_is_refused():
    with pytest.raises(_DiedError, match=r"a\.requests, b\.requests"):
        assigned(_Cluster(), one=Member())
