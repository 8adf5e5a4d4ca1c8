"""A member of a group joins it again, and serves its partitions meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.protocol import (
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)
from aiokafka.errors import GroupLoadInProgressError, UnknownMemberIdError

from agents.worker import coordinator
from agents.worker.assignor import Assignor
from agents.worker.coordinator import (
    GroupCoordinator,
    RebalanceListener,
    SubscriptionState,
)
from tests.e2e.waiting import until

TOPIC = "stock.requests"


class _Broker:
    """A group's coordinator with one member, and the client that reaches it.

    Attributes:
        sent: names of requests.
        refusals: errors of the next answers, by the name of their request.
        on_join: called with each JoinGroup.
    """

    def __init__(self) -> None:
        self.cluster = ClusterMetadata()
        self.sent: list[str] = []
        self.refusals: dict[str, Any] = {}
        self.on_join: Callable[[], None] = lambda: None
        self._generation = 0

    async def coordinator_lookup(self, *_: object) -> int:
        return 0

    async def ready(self, *_: object, **__: object) -> bool:
        return True

    async def send(self, _: int, request: object, **__: object) -> SimpleNamespace:
        name = type(request).__name__.removesuffix("Request")
        self.sent.append(name)
        await asyncio.sleep(0)
        error = self.refusals.pop(name, None)
        answer = SimpleNamespace(error_code=error.errno if error else 0)
        if name == "JoinGroup":
            self._generation += 1
            self.on_join()
            answer.generation_id, answer.group_protocol = self._generation, "faust"
            answer.member_id, answer.leader_id = "one", "other"
        if name == "SyncGroup":
            given = ConsumerProtocolMemberAssignment(4, [(TOPIC, [0])], b"")
            answer.member_assignment = given.encode()
        return answer


class _Tasks:
    """What a worker does with its assignments.

    Attributes:
        calls: of either handler, in order.
        may_return: whether handlers return.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.may_return = asyncio.Event()
        self.may_return.set()
        self.error: Exception | None = None

    async def handle_assignment(self) -> None:
        self.calls.append("assigned")
        await self.may_return.wait()
        if self.error:
            raise self.error

    async def handle_lost_all(self) -> None:
        self.calls.append("lost all")


class _Assignor(Assignor):
    """Ours, without a worker."""

    name = "faust"

    def __init__(self) -> None: ...

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        return ConsumerProtocolMemberMetadata(4, sorted(topics), b"")

    def on_assignment(self, _: object) -> None: ...


class _Member:
    """A static member of the group."""

    def __init__(self) -> None:
        self.broker, self.tasks = _Broker(), _Tasks()
        tables = SimpleNamespace(recovery=self.tasks)
        consumer = SimpleNamespace(app=SimpleNamespace(tables=tables))
        self.subscription = SubscriptionState()
        listener = RebalanceListener(SimpleNamespace(consumer=consumer))
        self.subscription.subscribe({TOPIC}, listener=listener)
        self.coordinator = GroupCoordinator(
            self.broker,
            self.subscription,
            group_id="loms",
            group_instance_id="loms-1",
            heartbeat_interval_ms=10,
            retry_backoff_ms=10,
            enable_auto_commit=False,
            assignors=[_Assignor()],
        )

    async def joins(self, do: Callable[[], Awaitable[None] | None]) -> list[str]:
        """Do something; return the calls until it has joined again."""
        self.tasks.calls.clear()
        do()
        await until(lambda: "assigned" in self.tasks.calls, "it joins")
        return self.tasks.calls

    def refuse(self, name: str, error: type[Exception]) -> None:
        """Answer the next request of a name with an error."""
        self.broker.refusals[name] = error


@pytest.fixture
async def member() -> AsyncIterator[_Member]:
    joined = _Member()
    await joined.joins(lambda: None)
    yield joined
    joined.tasks.may_return.set()
    await joined.coordinator.close()


async def test_a_member_that_joins_again_gives_up_nothing(member: _Member):
    fetches = []
    member.broker.on_join = lambda: fetches.append(
        not member.subscription.reassignment_in_progress
    )
    assert await member.joins(member.coordinator.request_rejoin) == ["assigned"]
    assert fetches == [True]


async def test_a_join_that_has_to_be_repeated_gives_up_nothing(member: _Member):
    member.refuse("JoinGroup", GroupLoadInProgressError)
    assert await member.joins(member.coordinator.request_rejoin) == ["assigned"]


async def test_a_member_whose_heartbeat_is_unknown_gives_up_all(member: _Member):
    calls = await member.joins(lambda: member.refuse("Heartbeat", UnknownMemberIdError))
    assert calls == ["lost all", "assigned"]


@pytest.mark.parametrize("request_", ["JoinGroup", "SyncGroup"])
async def test_a_member_that_is_unknown_when_it_joins_again_gives_up_all(
    member: _Member, request_: str
):
    member.refuse(request_, UnknownMemberIdError)
    calls = await member.joins(member.coordinator.request_rejoin)
    assert calls == ["lost all", "assigned"]


async def test_a_member_that_waits_for_a_release_sends_heartbeats(member: _Member):
    member.tasks.may_return.clear()
    await member.joins(member.coordinator.request_rejoin)
    member.broker.sent.clear()
    await until(lambda: member.broker.sent.count("Heartbeat") > 2, "heartbeats", 5)


@pytest.mark.parametrize("leaves", [False, True])
async def test_a_static_member_leaves_the_group_only_if_it_is_to(
    member: _Member, *, leaves: bool
):
    member.coordinator.leaves = leaves
    await member.coordinator.close()
    assert ("LeaveGroup" in member.broker.sent) == leaves


async def test_an_exception_in_a_rebalance_stops_the_worker(
    member: _Member, monkeypatch: pytest.MonkeyPatch
):
    reasons: list[str] = []
    monkeypatch.setattr(
        coordinator, "fail_stop", lambda text, *args: reasons.append(text % args)
    )
    member.tasks.error = ValueError("no rows")
    await member.joins(member.coordinator.request_rejoin)
    await until(lambda: reasons, "it stops")
    assert "no rows" in reasons[0]
