"""Bugs of plans, releases, hand-overs and standbys."""

from tests.planted.bug import Bug

_PLANS = "tests/unit/test_assignor.py::test_"
_GROUP = "tests/unit/test_coordinator.py::test_"
_TASKS = "tests/component/test_tasks.py::test_"
_COMMITS = "tests/component/test_commits.py::test_"
_STANDBY = "tests/component/test_standby.py::test_"
_TASK_MANAGER = "agents/worker/tasks.py"
_ASSIGNMENT = "agents/worker/assignment.py"
_CONSUMER = "agents/worker/consumer.py"
_COORDINATOR = "agents/worker/coordinator.py"
_READER = "agents/runtime/standby.py"

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
        f"{_GROUP}a_partition_that_stays_keeps_its_position_and_is_not_paused",
    ),
    Bug(
        "new partitions are fetched before their rows are recovered",
        _COORDINATOR,
        "                after._tp_state[tp].pause()\n",
        "                pass\n",
        f"{_GROUP}a_partition_that_stays_keeps_its_position_and_is_not_paused",
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
        f"{_COMMITS}a_member_that_is_to_leave_leaves_though_it_joins_again_before",
    ),
    Bug(
        "a slow batch that a release waits for is not logged",
        _CONSUMER,
        "in_flight = [*self._served.values(), *self._revoked.values()]",
        "in_flight = [*self._served.values()]",
        f"{_COMMITS}a_batch_that_a_release_waits_for_is_among_the_oldest",
    ),
    Bug(
        "a release has no generation",
        _CONSUMER,
        "metadata = str(generation)",
        'metadata = ""',
        f"{_COMMITS}a_release_is_known_to_the_next_owner",
    ),
    Bug(
        "a commit before the plan counts as a release",
        _CONSUMER,
        "await self._commit(offsets, self._generation)",
        "await self._commit(offsets, self._coordinator.generation)",
        f"{_COMMITS}a_commit_before_the_plan_is_carried_out_is_no_release",
    ),
    Bug(
        "a release waits for partitions that stay",
        "agents/runtime/in_flight.py",
        "                batch.done = True\n",
        "                pass\n",
        f"{_COMMITS}a_release_does_not_wait_for_other_partitions_of_the_same_poll",
    ),
    Bug(
        "batches of a revoked partition are still processed",
        "agents/runtime/processor.py",
        "fetched = unrevoked(event.message.value)",
        "fetched = event.message.value",
        "tests/component/test_runtime_batches.py"
        "::test_a_batch_of_a_revoked_partition_is_not_processed",
    ),
    Bug(
        "a partition is released before its work is done",
        _TASK_MANAGER,
        "        await consumer.wait_until_done()\n",
        "",
        f"{_TASKS}a_partition_that_goes_is_drained_then_released_then_committed",
    ),
    Bug(
        "a partition is committed before its work is done",
        _TASK_MANAGER,
        "        await consumer.wait_until_done()\n",
        "        await consumer.release(lost)\n        await consumer.wait_until_done()\n",
        f"{_TASKS}a_partition_that_goes_is_drained_then_released_then_committed",
    ),
    Bug(
        "rows of a partition that goes are kept for writing",
        _TASK_MANAGER,
        "                store.release(partition)\n        if commit:",
        "                pass\n        if commit:",
        f"{_TASKS}a_partition_that_goes_is_drained_then_released_then_committed",
    ),
    Bug(
        "a rebalance revokes the partitions that stay, too",
        _TASK_MANAGER,
        "await self._release(self._owned - plan.active)",
        "await self._release(set(self._owned))",
        f"{_TASKS}a_partition_that_stays_is_neither_revoked_nor_read",
    ),
    Bug(
        "a partition is taken over before its owner has released it",
        _TASK_MANAGER,
        "if waiting := gained & plan.handed_over:",
        "if waiting := gained & plan.warming:",
        f"{_TASKS}a_partition_is_not_read_before_its_owner_has_released_it",
    ),
    Bug(
        "a worker waits for a release for ever",
        _TASK_MANAGER,
        "if time.monotonic() > deadline:",
        "if False:",
        f"{_TASKS}a_partition_that_is_not_released_in_time_is_taken_over",
    ),
    Bug(
        "a partition is taken over though its owner may have missed the plan",
        _TASK_MANAGER,
        "gained -= await self._await_release(waiting, generation)",
        "await self._await_release(waiting, generation)",
        f"{_TASKS}a_rebalance_ends_the_wait_for_a_release",
    ),
    Bug(
        "a lost membership is committed",
        _TASK_MANAGER,
        "await self._release(set(self._owned), commit=False)",
        "await self._release(set(self._owned))",
        f"{_TASKS}a_lost_membership_gives_up_all_and_commits_nothing",
    ),
    Bug(
        "a new assignment waits for the end of a long recovery",
        _TASK_MANAGER,
        "                self._restoring.cancel()\n",
        "                pass\n",
        f"{_TASKS}an_assignment_during_a_recovery_abandons_it_and_reads_again",
    ),
    Bug(
        "a recovery that has read all is abandoned",
        _TASK_MANAGER,
        "            self._is_reading = False\n            await self._serve",
        "            await self._serve",
        f"{_TASKS}an_assignment_awaits_a_recovery_that_has_read_all",
    ),
    Bug(
        "a lone member hands over to nobody",
        _TASK_MANAGER,
        "if self.app.assignor.members < 2:",
        "if self.app.assignor.members < 1:",
        f"{_TASKS}a_lone_member_hands_nothing_over",
    ),
    Bug(
        "a member leaves before others have its partitions",
        _TASK_MANAGER,
        "if self._leaving and not self._owned:",
        "if self._leaving:",
        f"{_TASKS}a_member_hands_over_and_leaves",
    ),
    Bug(
        "a worker that stops takes partitions over",
        _TASK_MANAGER,
        "            if self._closed:\n                return\n            await",
        "            await",
        f"{_TASKS}a_worker_that_stops_during_a_rebalance_takes_nothing_over",
    ),
    Bug(
        "a standby is promoted without the tail of its changelog",
        _TASK_MANAGER,
        "read_changelogs(self._stores, partitions, self.app.settings)",
        "read_changelogs(self._stores, {p for p in partitions if"
        " self._standbys.lag(p) is None}, self.app.settings)",
        f"{_TASKS}standbys_are_read_to_their_ends_before_they_are_served",
    ),
    Bug(
        "a member joins again when a part of what it is to own is warm",
        _TASK_MANAGER,
        "if lags and all(",
        "if lags and any(",
        f"{_TASKS}a_member_joins_again_once_all_that_it_is_to_own_is_warm",
    ),
    Bug(
        "a follower applies records to a partition that this worker serves",
        _READER,
        "for partition in before - self._partitions - store.active:",
        "for partition in before - self._partitions:",
        f"{_STANDBY}a_partition_that_was_promoted_keeps_what_is_not_acknowledged",
    ),
    Bug(
        "a standby follows partitions that are not its own",
        _READER,
        "for t in self._stores for p in self._partitions]",
        "for t in self._stores for p in range(2)]",
        f"{_STANDBY}partitions_are_followed_and_no_others",
    ),
    Bug(
        "rows of a standby are young though it is behind",
        _READER,
        ".confirm(tp.partition, end, at)",
        ".confirm(tp.partition, 0, at)",
        f"{_STANDBY}rows_of_a_standby_are_young_only_when_it_has_all_of_a_time",
    ),
    Bug(
        "a standby keeps rows that its changelog has lost",
        _READER,
        "if records[0].offset < store.offsets[tp.partition].changelog_offset:",
        "if False:",
        f"{_STANDBY}rows_that_a_changelog_loses_while_it_is_followed_are_dropped",
    ),
    Bug(
        "a standby keeps rows beyond the end of its changelog",
        "agents/runtime/changelog.py",
        "if store.offsets[tp.partition].changelog_offset > end:",
        "if False:",
        f"{_STANDBY}rows_beyond_the_end_of_a_changelog_are_dropped",
    ),
    Bug(
        "a standby begins without its stored rows",
        "agents/runtime/changelog.py",
        "        stores[tp.topic].load(tp.partition)\n    consumer",
        "        pass\n    consumer",
        f"{_STANDBY}rows_that_are_too_old_are_read_again",
    ),
    Bug(
        "a standby whose lag grows logs nothing",
        _READER,
        "            if not lag:\n",
        "            if lag:\n",
        f"{_STANDBY}a_standby_that_is_behind_is_logged",
    ),
    Bug(
        "measured rows are followed",
        _READER,
        "                self._stores[tp.topic].release(tp.partition)\n        finally:",
        "                pass\n        finally:",
        f"{_STANDBY}lags_of_stored_rows_are_measured_without_following_them",
    ),
)
