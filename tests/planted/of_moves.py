"""Bugs of plans, of joins, and of what a revocation leaves."""

from tests.planted.bug import Bug

_PLANS = "tests/unit/test_assignor.py::test_"
_GROUP = "tests/unit/test_coordinator.py::test_"
_SUBSCRIPTION = "tests/unit/test_subscription.py::test_"
_RELEASES = "tests/component/test_releases.py::test_"
_ASSIGNMENT = "agents/worker/assignment.py"
_CONSUMER = "agents/worker/consumer.py"
_COORDINATOR = "agents/worker/coordinator.py"

BUGS = (
    Bug(
        "a partition moves to a member that is cold",
        _ASSIGNMENT,
        "members[target].lag(partition) > WARM_RECORDS and owner",
        "members[target].lag(partition) > 10**9 and owner",
        f"{_PLANS}a_partition_moves_only_to_a_member_that_is_warm",
    ),
    Bug(
        "a partition has two owners while it warms up",
        _ASSIGNMENT,
        "            plans[owner].active.add(partition)\n"
        "            plans[target].standby.add(partition)\n",
        "            plans[owner].active.add(partition)\n"
        "            plans[target].active.add(partition)\n",
        f"{_PLANS}each_partition_has_one_owner_unless_all_members_leave",
    ),
    Bug(
        "a member that leaves is given partitions",
        _ASSIGNMENT,
        "sorted(members.items()) if not one.leaving}",
        "sorted(members.items())}",
        f"{_PLANS}a_leaving_member_serves_until_another_is_warm",
    ),
    Bug(
        "a partition is handed over without a wait",
        _ASSIGNMENT,
        "                plans[target].handed_over.add(partition)\n",
        "                pass\n",
        f"{_PLANS}a_partition_moves_only_to_a_member_that_is_warm",
    ),
    Bug(
        "an orphaned partition goes to a cold member though another is warm",
        _ASSIGNMENT,
        "key=lambda n: (members[n].lag(partition), -left[n], n)",
        "key=lambda n: (-left[n], n)",
        f"{_PLANS}orphaned_partitions_go_to_those_that_are_warm_for_them",
    ),
    Bug(
        "a member that joins again gives up its partitions",
        _COORDINATOR,
        "if not (is_member and self._subscription.is_cooperative):",
        "if True:",
        f"{_GROUP}a_member_that_joins_again_gives_up_nothing",
    ),
    Bug(
        "a member keeps partitions though the group has removed it",
        _COORDINATOR,
        "        super().reset_generation()\n"
        "        self._performed_join_prepare = False\n",
        "        super().reset_generation()\n",
        f"{_GROUP}a_member_that_is_unknown_when_it_joins_again_gives_up_all",
    ),
    Bug(
        "a rebalance forgets the positions of partitions that stay",
        _COORDINATOR,
        "after._tp_state[tp] = state = before._tp_state[tp]",
        "state = before._tp_state[tp]",
        f"{_SUBSCRIPTION}a_partition_that_stays_keeps_its_position_and_is_not_paused",
    ),
    Bug(
        "new partitions are fetched before their rows are recovered",
        _COORDINATOR,
        "                after._tp_state[tp].pause()\n",
        "                pass\n",
        f"{_SUBSCRIPTION}a_partition_that_stays_keeps_its_position_and_is_not_paused",
    ),
    Bug(
        "a member that waits for a release is removed from its group",
        _COORDINATOR,
        "        self._start_heartbeat_task()",
        "        pass",
        f"{_GROUP}a_member_that_waits_for_a_release_sends_heartbeats",
    ),
    Bug(
        "a static member that stops for good stays in the group",
        _COORDINATOR,
        "if self.leaves and self.generation > 0:",
        "if self._group_instance_id is None:",
        f"{_GROUP}a_static_member_leaves_the_group_only_if_it_is_to",
    ),
    Bug(
        "a commit overtakes a join",
        _COORDINATOR,
        "        await self._commit_lock.acquire()\n        self._joins = True\n",
        "",
        "tests/component/test_group.py"
        "::test_a_commit_during_a_rebalance_costs_no_membership",
    ),
    Bug(
        "a member that is to leave stays, since it joined again before",
        _CONSUMER,
        "self._coordinator.leaves |= leaving",
        "self._coordinator.leaves = leaving",
        f"{_RELEASES}a_member_that_is_to_leave_leaves_though_it_joins_again_before",
    ),
    Bug(
        "a slow batch that a release waits for is not logged",
        _CONSUMER,
        "in_flight = [*self._served.values(), *self._revoked.values()]",
        "in_flight = [*self._served.values()]",
        f"{_RELEASES}a_batch_that_a_release_waits_for_is_among_the_oldest",
    ),
    Bug(
        "a release has no generation",
        _CONSUMER,
        "metadata = str(generation)",
        'metadata = ""',
        f"{_RELEASES}a_release_is_known_to_the_next_owner",
    ),
    Bug(
        "a commit before the plan counts as a release",
        _CONSUMER,
        "await self._commit(offsets, self._generation)",
        "await self._commit(offsets, self._coordinator.generation)",
        f"{_RELEASES}a_commit_before_the_plan_is_carried_out_is_no_release",
    ),
    Bug(
        "a release waits for partitions that stay",
        "agents/runtime/in_flight.py",
        "                batch.done = True\n",
        "                pass\n",
        f"{_RELEASES}a_release_does_not_wait_for_other_partitions_of_the_same_poll",
    ),
    Bug(
        "batches of a revoked partition are still processed",
        "agents/runtime/processor.py",
        "fetched = unrevoked(event.message.value)",
        "fetched = event.message.value",
        "tests/component/test_runtime_batches.py"
        "::test_a_batch_of_a_revoked_partition_is_not_processed",
    ),
)
