"""Bugs of releases, hand-overs and standbys."""

from tests.planted.bug import Bug

_TASKS = "tests/component/test_tasks.py::test_"
_HAND_OVER = "tests/component/test_hand_over.py::test_"
_STANDBY = "tests/component/test_standby.py::test_"
_TASK_MANAGER = "agents/worker/tasks.py"
_READER = "agents/runtime/standby.py"

BUGS = (
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
        f"{_HAND_OVER}a_lone_member_hands_nothing_over",
    ),
    Bug(
        "a member leaves before others have its partitions",
        _TASK_MANAGER,
        "if self._leaving and not self._owned:",
        "if self._leaving:",
        f"{_HAND_OVER}a_member_hands_over_and_leaves",
    ),
    Bug(
        "a worker that stops takes partitions over",
        _TASK_MANAGER,
        "            if self._closed:\n                return\n            await",
        "            await",
        f"{_HAND_OVER}a_worker_that_stops_during_a_rebalance_takes_nothing_over",
    ),
    Bug(
        "a standby is promoted without the tail of its changelog",
        _TASK_MANAGER,
        "read_changelogs(self._stores, partitions, self.app.settings)",
        "read_changelogs(self._stores, {p for p in partitions if"
        " self._standbys.lag(p) is None}, self.app.settings)",
        f"{_HAND_OVER}standbys_are_read_to_their_ends_before_they_are_served",
    ),
    Bug(
        "a member joins again when a part of what it is to own is warm",
        _TASK_MANAGER,
        "if lags and all(",
        "if lags and any(",
        f"{_HAND_OVER}a_member_joins_again_once_all_that_it_is_to_own_is_warm",
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
        "                self._stores[tp.topic].release(tp.partition)\n",
        "                pass\n",
        f"{_STANDBY}lags_of_stored_rows_are_measured_without_following_them",
    ),
)
