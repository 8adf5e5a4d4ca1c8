"""Bugs of stored rows, their files and their index."""

from tests.planted.bug import Bug

_ROWS = "tests/component/test_rows.py::test_"
_DEADLINES = "tests/unit/test_deadlines.py::test_"
_CONCURRENT = "tests/component/test_concurrent_processor.py::test_"
_STORES = "tests/unit/test_state_store.py::test_"
_FILES = "tests/unit/test_damaged_files.py::test_"
_STORE = "agents/runtime/state_store.py"

BUGS = (
    Bug(
        "rows that were purged are still read from memory",
        _STORE,
        "            offsets.recent.clear()\n",
        "            pass\n",
        f"{_ROWS}a_row_that_was_purged_is_gone",
    ),
    Bug(
        "a row that is written again is read as it was",
        "agents/runtime/rows.py",
        "        self.recent[key] = value\n",
        "        self.recent.setdefault(key, value)\n",
        f"{_ROWS}a_row_is_read_as_it_is_stored_however_many_came_later",
    ),
    Bug(
        "a field of a newer release is lost",
        "agents/row_serde.py",
        "return translated, {n: v for n, v in fields.items() if n not in known}",
        "return translated, {}",
        "tests/unit/test_row_serde.py::test_fields_of_a_newer_release_are_returned",
    ),
    Bug(
        "rows are on disk before the changelog has them",
        _STORE,
        "        offsets.source_offset = max(offsets.source_offset, source_offset)\n",
        "        offsets.source_offset = max(offsets.source_offset, source_offset)\n"
        "        new = (Row(key, value, source_offset) for key, value in rows.items())\n"
        "        self.store(partition, new, offsets.stored)\n",
        f"{_STORES}at_any_instant_the_files_are_the_fold_of_a_prefix",
    ),
    Bug(
        "progress is stored in another batch than the rows",
        _STORE,
        "        pairs.append((prefix, orjson.dumps([*progress, superseded])))\n"
        "        self.database.write(pairs)\n",
        "        self.database.write([(prefix, orjson.dumps([*progress, superseded]))])\n"
        "        if rows != ():\n"
        "            self.database.flush(wait=True)\n"
        "        self.database.write(pairs)\n",
        f"{_STORES}at_any_instant_the_files_are_the_fold_of_a_prefix",
    ),
    Bug(
        "rows that a zombie superseded are forgotten in a crash",
        _STORE,
        'superseded = [key.decode("latin-1") for key in offsets.superseded]',
        "superseded = []",
        f"{_STORES}rows_that_a_zombie_superseded_are_still_superseded_after_a_crash",
    ),
    Bug(
        "rows that are too old are used",
        _STORE,
        "if not 0 <= age <= MAX_AGE.total_seconds():",
        "if not 0 <= age:",
        f"{_STORES}rows_that_are_too_old_or_from_the_future_are_dropped",
    ),
    Bug(
        "rows are young though the changelog has more",
        _STORE,
        "if offsets is None or offsets.stored.changelog_offset < end:",
        "if offsets is None:",
        f"{_STORES}rows_are_young_while_the_changelog_has_nothing_behind_them",
    ),
    Bug(
        "rows of an idle worker become too old",
        "agents/worker/tables.py",
        "                store.confirm(partition, end, at)\n",
        "                pass\n",
        "tests/component/test_tables.py"
        "::test_rows_of_an_idle_partition_are_kept_young_and_flushed",
    ),
    Bug(
        "rows of a partition that never returns stay",
        "agents/worker/tables.py",
        "                store.release(partition)\n            topic",
        "                pass\n            topic",
        "tests/component/test_tables.py"
        "::test_rows_of_a_partition_that_does_not_return_are_dropped_when_they_are_old",
    ),
    Bug(
        "unacknowledged rows are not read",
        _STORE,
        "            if write := offsets.unacknowledged.get(key):",
        "            if write := None:",
        f"{_STORES}a_row_is_read_before_it_is_acknowledged_and_not_stored",
    ),
    Bug(
        "an acknowledgement ends a later write of the same row",
        _STORE,
        "if offsets.unacknowledged.get(key) is write:",
        "if key in offsets.unacknowledged:",
        f"{_STORES}a_row_is_read_before_it_is_acknowledged_and_not_stored",
    ),
    Bug(
        "a late acknowledgement of a revoked partition is stored",
        _STORE,
        "        if self.offsets.get(write.partition) is not offsets:\n"
        "            return\n",
        "",
        f"{_STORES}a_late_acknowledgement_of_an_assignment_that_ended_stores_nothing",
    ),
    Bug(
        "damage within a range of rows ends it silently",
        "agents/runtime/database.py",
        "            position.status()\n",
        "",
        f"{_FILES}damage_that_is_found_while_reading_discards_the_files_at_the_next_start",
    ),
    Bug(
        "damaged files are opened again",
        "agents/runtime/database.py",
        "if self._damage.path.exists():",
        "if False:",
        f"{_FILES}damage_that_is_found_while_reading_discards_the_files_at_the_next_start",
    ),
    Bug(
        "recovery stores no index entries",
        _STORE,
        "elif indexed := self._index(value):",
        "elif progress.at != offsets.stored.at and (indexed := self._index(value)):",
        f"{_CONCURRENT}recovered_orders_that_await_payment_are_expired",
    ),
    Bug(
        "a deadline behind the cursor is lost",
        _STORE,
        "                if is_live:\n",
        "                if False:\n",
        f"{_DEADLINES}an_order_that_begins_to_wait_behind_others_has_its_deadline",
    ),
    Bug(
        "a deleted row loses its source offset",
        _STORE,
        "pairs.append((prefix + key, stamp + (value or now)))",
        'pairs.append((prefix + key, stamp + value if value else b""))',
        f"{_ROWS}a_zombies_write_of_a_deleted_row_does_not_count",
    ),
    Bug(
        "rows of another format or cluster are used",
        "agents/runtime/database.py",
        "if (found := rows.get(FORMAT_KEY)) != self._format:",
        "if (found := rows.get(FORMAT_KEY)) is None:",
        f"{_FILES}rows_of_another_cluster_are_discarded",
    ),
    Bug(
        "the time to pay runs by the worker's clock",
        "agents/loms/payment_deadlines.py",
        "last = index_value(now - self.time_to_pay)",
        "last = index_value(datetime.now().astimezone() - self.time_to_pay)",
        f"{_DEADLINES}the_time_to_pay_runs_from_the_records_own_time",
    ),
    Bug(
        "an index entry of a paid order stays",
        _STORE,
        'b"" if is_live else None',
        'b""',
        f"{_DEADLINES}an_order_that_was_paid_meanwhile_is_not_expired",
    ),
    Bug(
        "pending rows are counted twice",
        "agents/notifications/pending.py",
        "stored = self._store.offsets[self.partition].stored",
        "stored = self._store.offsets[self.partition]",
        "tests/unit/test_pending.py"
        "::test_rows_are_counted_once_though_more_are_added_meanwhile",
    ),
)
