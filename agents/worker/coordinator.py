"""aiokafka's membership of a group, with cooperative rebalancing.

aiokafka gives up all partitions when it joins again, and fetches none until all members
have joined. Here a member serves its partitions meanwhile, and afterwards those that it
keeps. Only a member that the group has removed gives up all.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.consumer import group_coordinator, subscription_state
from aiokafka.errors import KafkaError
from aiokafka.protocol.group import LeaveGroupRequest

from agents.runtime.fail_stop import fail_stop
from agents.worker.assignor import Assignor

log = logging.getLogger(__name__)


class SubscriptionState(subscription_state.SubscriptionState):
    """Keeps the positions of partitions that stay; new ones are paused.

    Attributes:
        is_cooperative: whether it does; else it is aiokafka's.
    """

    is_cooperative = False

    def assign_from_subscribed(self, assignment: set[TopicPartition]) -> None:
        """Set the assignment of the group."""
        if not self.is_cooperative:
            super().assign_from_subscribed(assignment)
            return
        before = self.subscription.assignment
        # An older release, which still is in the group, assigned changelogs too.
        known = {tp for tp in assignment if tp.topic in self.topics}
        super().assign_from_subscribed(known)
        after = self.subscription.assignment
        for tp in after.tps:
            if before is not None and tp in before.tps:
                after._tp_state[tp] = state = before._tp_state[tp]
                state._assignment = after
            else:
                after._tp_state[tp].pause()


class GroupCoordinator(group_coordinator.GroupCoordinator):
    """Joins the group again without giving up partitions, if its assignor is ours.

    Attributes:
        leaves: whether it leaves the group when it is closed. A static member does not, so
            it is back without a rebalance.
    """

    leaves = False
    _joins = False

    def __init__(
        self, client: Any, subscription: SubscriptionState, **options: Any
    ) -> None:
        super().__init__(client, subscription, **options)
        assignors = options.get("assignors", ())
        subscription.is_cooperative = any(isinstance(a, Assignor) for a in assignors)

    async def _do_rejoin_group(self, subscription: Any) -> bool:
        """Join the group; commits wait meanwhile.

        A broker answers the requests of a connection in order. So it would process a
        commit when the join has changed the generation, and refuse it.
        """
        await self._commit_lock.acquire()
        self._joins = True
        try:
            return await super()._do_rejoin_group(subscription)
        finally:
            self._let_commit()

    def _let_commit(self) -> None:
        if self._joins:
            self._joins = False
            self._commit_lock.release()

    @property
    def is_joining(self) -> bool:
        """Whether the member waits for the other members: commits wait, too."""
        return self._joins

    @property
    def is_rebalancing(self) -> bool:
        """Whether this member has to join the group again."""
        return self._rejoin_needed_fut.done()

    async def _on_join_complete(self, *assignment: Any) -> None:
        self._let_commit()
        self._start_heartbeat_task()  # aiokafka starts it when the listener has returned
        await super()._on_join_complete(*assignment)

    async def _on_join_prepare(self, previous_assignment: Any) -> None:
        is_member = previous_assignment is not None and self.generation > 0
        if not (is_member and self._subscription.is_cooperative):
            await super()._on_join_prepare(previous_assignment)

    def reset_generation(self) -> None:
        """Forget the membership: the next join gives up all partitions."""
        super().reset_generation()
        self._performed_join_prepare = False

    async def _maybe_leave_group(self) -> None:
        if self.leaves and self.generation > 0:
            try:
                await self._send_req(LeaveGroupRequest(self.group_id, self.member_id))
            except KafkaError as error:  # the session ends it
                log.warning("event=group-not-left reason=%r", error)
        self.reset_generation()


class RebalanceListener(ConsumerRebalanceListener):
    """Passes rebalances on; aiokafka would only log an exception."""

    def __init__(self, thread: Any) -> None:
        self._app = thread.consumer.app

    async def on_partitions_revoked(self, _: Any) -> None:
        """Give up all partitions: the group has removed this member."""
        await _or_stop(self._app.tables.recovery.handle_lost_all)

    async def on_partitions_assigned(self, _: Any) -> None:
        """Carry out the plan that the assignor has received."""
        await _or_stop(self._app.tables.recovery.handle_assignment)


async def _or_stop(handle: Callable[[], Awaitable[None]]) -> None:
    try:
        await handle()
    except Exception as error:  # noqa: BLE001
        fail_stop("event=rebalance-failed reason=%r", error)
