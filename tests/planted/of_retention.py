"""Bugs of rows that expire, of their deletion, and of what is left of them."""

from tests.planted.bug import Bug

_SWEEPS = "tests/component/test_sweeper.py::test_"
_EXPIRED = "tests/component/test_expired_rows.py::test_"
_INDEX = "tests/unit/test_expiry_index.py::test_"
_ENTRIES = "tests/unit/test_state_index.py::test_"
_REPLAYS = "tests/unit/test_audit_replay.py::test_"
_SWEEPER = "agents/runtime/sweeper.py"
_ORDERS = "tests/unit/test_old_orders.py::test_"
_OLD_ORDERS = "agents/loms/retention.py"
_STORE = "agents/runtime/state_store.py"

BUGS = (
    Bug(
        "a row is deleted as soon as it has expired",
        _SWEEPER,
        "return at and at - MARGIN",
        "return at",
        f"{_SWEEPS}rows_are_deleted_an_hour_after_they_expired",
    ),
    Bug(
        "a deletion passes for unwritten rows in front of it",
        _SWEEPER,
        "self._store.offsets[partition].stored.source_offset",
        "self._store.offsets[partition].source_offset",
        f"{_SWEEPS}a_deletion_does_not_pass_for_rows_in_front_of_it",
    ),
    Bug(
        "a row that is being written is deleted",
        _SWEEPER,
        "if key not in unacknowledged}",
        "if key}",
        f"{_SWEEPS}a_row_that_is_being_written_is_left_alone",
    ),
    Bug(
        "a worker deletes rows of partitions that it only follows",
        _SWEEPER,
        "if expired and partition in store.active:",
        "if expired:",
        f"{_SWEEPS}rows_of_another_owner_are_not_deleted_but_entries_of_deleted_ones_are",
    ),
    Bug(
        "rows are deleted after a revocation",
        _SWEEPER,
        "        if self._is_stopped:\n",
        "        if False:\n",
        f"{_SWEEPS}a_revocation_waits_for_deletions_and_none_follows",
    ),
    Bug(
        "a partition is given up while deletions are on their way",
        _SWEEPER,
        "            await asyncio.wait(self._in_flight)\n",
        "            pass\n",
        f"{_SWEEPS}a_revocation_waits_for_deletions_and_none_follows",
    ),
    Bug(
        "a step of the sweep has no bound",
        _SWEEPER,
        "entries = list(islice(due, limit - count))",
        "entries = list(due)",
        f"{_SWEEPS}a_step_is_bounded_and_the_next_one_goes_on",
    ),
    Bug(
        "a sweep comes to each index entry once",
        _SWEEPER,
        'self._store.offsets[partition].cursor = b""',
        "pass",
        f"{_SWEEPS}index_entries_of_deleted_rows_go_with_the_next_pass",
    ),
    Bug(
        "rows are deleted by the time of records that may come again",
        "agents/worker/consumer.py",
        "min(served.committed_at / 1000, time.time())",
        "min((served.acknowledged_at or 0) / 1000, time.time())",
        "tests/component/test_commits.py"
        "::test_the_time_of_the_newest_committed_record_is_known",
    ),
    Bug(
        "rows are deleted by a clock that is ahead",
        "agents/worker/consumer.py",
        "min(served.committed_at / 1000, time.time())",
        "served.committed_at / 1000",
        "tests/component/test_commits.py::test_a_clock_that_is_ahead_does_not_count",
    ),
    Bug(
        "an expired row counts until it is deleted",
        "agents/runtime/transaction.py",
        "rows = (self._unexpired(key, index, at) for",
        "rows = (self._row(key, index) for",
        f"{_EXPIRED}an_expired_row_is_absent_whether_it_is_deleted_or_not",
    ),
    Bug(
        "a new row has unknown fields of an expired one",
        "agents/runtime/transaction.py",
        "        if row is None:  # a new row takes over nothing\n",
        "        if False:\n",
        f"{_EXPIRED}a_new_row_has_nothing_of_an_expired_one",
    ),
    Bug(
        "a forwarded record passes for the first one",
        "agents/runtime/deserializer.py",
        "is_first=origin is None or names.MOVED in headers,",
        "is_first=True,",
        f"{_EXPIRED}a_receipt_knows_whether_its_record_was_forwarded",
    ),
    Bug(
        "a mark is dropped with an older one of its row",
        _STORE,
        "if layout.value_of(self._stored(partition, key)) == at:",
        "if not layout.json_of(self._stored(partition, key)):",
        f"{_ENTRIES}marks_of_deleted_rows_are_dropped_when_they_are_a_day_old",
    ),
    Bug(
        "a row that was written again is dropped with its mark",
        _STORE,
        "if layout.value_of(self._stored(partition, key)) == at:",
        "if at:",
        f"{_ENTRIES}a_mark_of_a_row_that_was_written_again_is_dropped_and_the_row_stays",
    ),
    Bug(
        "marks pass for index entries",
        _STORE,
        "layout.key_range(partition, begin, layout.MARKS)",
        "layout.key_range(partition, begin, layout.ROWS)",
        f"{_ENTRIES}entries_in_front_of_a_value_do_not_include_marks",
    ),
    Bug(
        "a notification is deleted before it is delivered",
        "agents/notifications/sent_log.py",
        '(fields := orjson.loads(row))["outcome"] == PENDING',
        '(fields := orjson.loads(row))["outcome"] == SENT * 2',
        f"{_INDEX}a_notification_is_in_the_index_once_all_its_deliveries_are_complete",
    ),
    Bug(
        "an old event is notified again",
        "agents/notifications/service.py",
        "        if is_too_old(event):\n",
        "        if False:\n",
        f"{_EXPIRED}an_event_whose_row_may_be_deleted_is_not_notified",
    ),
    Bug(
        "an order is deleted before its records are committed",
        _OLD_ORDERS,
        "if row.source_offset <= end and",
        "if",
        f"{_ORDERS}an_order_is_found_once_all_records_that_changed_it_are_committed",
    ),
    Bug(
        "the age of an order runs from its first status",
        _OLD_ORDERS,
        "row.rindex(_AT)",
        "row.index(_AT)",
        f"{_ORDERS}a_young_order_is_not_parsed",
    ),
    Bug(
        "a pass over the orders reads the same ones for ever",
        _OLD_ORDERS,
        'self._cursor = rows[-1].key + b"\\0"',
        'self._cursor = b""',
        f"{_ORDERS}a_step_reads_few_rows_and_the_next_one_goes_on",
    ),
    Bug(
        "orders of a revoked partition are deleted",
        _OLD_ORDERS,
        "if partition in store.active:",
        "if True:",
        f"{_ORDERS}the_orders_of_a_revoked_partition_are_not_found",
    ),
    Bug(
        "an invalid row of an order stops the worker",
        _OLD_ORDERS,
        "except ValueError:  # invalid",
        "except KeyError:  # invalid",
        f"{_ORDERS}an_invalid_row_is_left_alone",
    ),
    Bug(
        "a worker takes an offset that is only acknowledged for committed",
        "agents/worker/consumer.py",
        "return served.committed if served else 0",
        "return served.acknowledged if served else 0",
        "tests/component/test_commits.py::test_a_refused_commit_is_made_again",
    ),
    Bug(
        "the audit misses deleted orders",
        "agents/ops/audit/invariants.py",
        "if order is None and is_sold and now - reservation.at > MAX_RESERVE_AGE:",
        "if False:",
        "tests/unit/test_audit_invariants.py"
        "::test_the_order_of_an_older_sale_may_be_deleted",
    ),
    Bug(
        "the audit misses rows that have expired",
        "agents/ops/audit/replay.py",
        "not (self._is_over(expires) or self._is_gone(name))",
        "name in self.rows",
        f"{_REPLAYS}an_entry_may_be_deleted_once_a_record_is_younger",
    ),
    Bug(
        "the audit misses rows that expired after a later change",
        "agents/ops/audit/replay.py",
        "name not in self.rows or self._is_over(self._expiry(self.rows[name]))",
        "name not in self.rows",
        f"{_REPLAYS}a_cart_may_be_deleted_although_an_older_row_was_the_last_to_change",
    ),
    Bug(
        "a checkpoint has sums of 64 bits at most",
        "agents/ops/audit/checkpoint_files.py",
        "json.dumps(line).encode()",
        "orjson.dumps(line)",
        "tests/unit/test_audit_checkpoint.py"
        "::test_more_may_be_received_in_all_than_a_warehouse_can_hold",
    ),
    Bug(
        "the audit misses notifications whose events are deleted",
        "agents/ops/audit/outputs.py",
        "if is_kept and (sent",
        "if (sent",
        f"{_REPLAYS}a_notification_may_be_deleted_when_kafka_deletes_its_event",
    ),
    Bug(
        "the audit counts what was sold by rows that may be deleted",
        "agents/ops/audit/invariants.py",
        '                found[request.sku, warehouse]["written_off"] += units\n',
        "                pass\n",
        "tests/unit/test_audit_invariants.py"
        "::test_a_reservation_may_be_deleted_a_day_after_its_order_is_over",
    ),
    Bug(
        "the audit misses a refusal that expires before its order fails",
        "agents/ops/audit/invariants.py",
        "over_since if was_reserved else order.history[0].at",
        "over_since",
        "tests/unit/test_audit_invariants.py"
        "::test_a_refusal_may_be_deleted_a_day_later_though_its_order_failed_in_between",
    ),
    Bug(
        "the audit misses reserves of older releases",
        "agents/ops/audit/outputs.py",
        "if isinstance(message, Reserve):",
        "if False:",
        "tests/unit/test_audit_outputs.py"
        "::test_a_reserve_of_an_older_release_is_the_same_command",
    ),
)
