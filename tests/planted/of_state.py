"""Bugs of batches, commits, rows and deadlines."""

from tests.planted.bug import Bug

_BATCHES = "tests/component/test_runtime_batches.py::test_"
_ROWS = "tests/component/test_rows.py::test_"
_DEADLINES = "tests/unit/test_deadlines.py::test_"
_CONCURRENT = "tests/component/test_concurrent_processor.py::test_"
_STORES = "tests/unit/test_state_store.py::test_"
_CHANGELOG = "tests/unit/test_changelog.py::test_"
_STORE = "agents/runtime/state_store.py"
_COMMITS = "tests/component/test_commits.py::test_"

BUGS = (
    Bug(
        "a batch counts as acknowledged before what it caused is",
        "agents/runtime/in_flight.py",
        "            await acks\n"
        "            for batch in batches:\n"
        "                batch.acknowledged = True\n",
        "            for batch in batches:\n"
        "                batch.acknowledged = True\n"
        "            await acks\n",
        f"{_BATCHES}a_batch_is_acknowledged_only_when_all_that_it_caused_is",
    ),
    Bug(
        "a commit passes over an unacknowledged batch",
        "agents/worker/consumer.py",
        "        while self.batches and self.batches[0].acknowledged:\n"
        "            self.acknowledged = self.batches.popleft().end\n",
        "        for batch in filter(lambda b: b.acknowledged, self.batches):\n"
        "            self.acknowledged = batch.end\n",
        f"{_COMMITS}nothing_is_committed_over_an_unacknowledged_batch",
    ),
    Bug(
        "a batch that Faust acked is committed",
        "agents/worker/consumer.py",
        "        message.acked = True\n",
        "        message.acked = True\n        message.value[0].acknowledged = True\n",
        f"{_COMMITS}a_batch_that_faust_acked_is_not_committed_before_it_is_acknowledged",
    ),
    Bug(
        "records fetched before a revocation are delivered after it",
        "agents/worker/consumer.py",
        "batches = [b for b in chunk if self._served.get(b.tp) is served[b.tp]]",
        "batches = [b for b in chunk if b.tp in self._served]",
        f"{_COMMITS}records_fetched_before_a_revocation_are_not_delivered_after_it",
    ),
    Bug(
        "a partition without a commit is not sought",
        "agents/worker/consumer.py",
        "            else:\n                await consumer.seek_to_beginning(tp)\n",
        "",
        f"{_COMMITS}a_partition_begins_where_it_is_committed_or_at_its_beginning",
    ),
    Bug(
        "a batch of a revoked partition is committed in the background",
        "agents/worker/consumer.py",
        "self._revoked[tp] = self._served.pop(tp)",
        "self._revoked[tp] = self._served[tp]",
        f"{_COMMITS}a_batch_of_a_revoked_partition_is_not_committed_in_the_background",
    ),
    Bug(
        "chunks are as large as the fetch",
        "agents/worker/consumer.py",
        "if size > MAX_CHUNK_BYTES:",
        "if size < 0:",
        f"{_COMMITS}a_long_fetch_is_split_into_chunks_of_bounded_size",
    ),
    Bug(
        "a zombie's row wins in recovery",
        "agents/runtime/changelog.py",
        "if not supersedes(row, known):",
        "if False:",
        f"{_ROWS}the_highest_source_offset_of_a_row_wins_in_any_order",
    ),
    Bug(
        "a zombie's rows are left in the changelog",
        "agents/runtime/changelog.py",
        "            for row in self._store.offsets[partition].superseded.values()\n",
        "            for row in ()\n",
        f"{_ROWS}a_zombies_write_is_overwritten_by_the_valid_row",
    ),
    Bug(
        "another writer is ignored",
        "agents/runtime/changelog.py",
        "        if found != expected:\n",
        "        if False:\n",
        f"{_ROWS}another_writer_is_detected_at_the_next_row",
    ),
    Bug(
        "rows are written one by one",
        "agents/runtime/changelog.py",
        "        delivery = self._producer.send_batch(tp, write.rows.items(), headers)\n",
        "        for row in write.rows.items():\n"
        "            delivery = self._producer.send_batch(tp, [row], headers)\n",
        f"{_BATCHES}all_rows_of_a_record_are_one_record_batch_with_their_source_offset",
    ),
    Bug(
        "rows that exceed a record batch are left out",
        "agents/runtime/producer.py",
        '                raise ValueError(f"more than one record batch for {tp}")\n',
        "                break\n",
        f"{_ROWS}rows_that_exceed_a_record_batch_are_not_written_at_all",
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
        "processing begins before a zombie's rows are rewritten",
        "agents/runtime/changelog.py",
        "        if deliveries:\n            await asyncio.wait(deliveries)\n",
        "",
        f"{_ROWS}a_zombies_write_is_overwritten_by_the_valid_row",
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
        "rows are young before their changelog was read to its end",
        "agents/runtime/changelog.py",
        "Progress(offsets.source_offset, changelog_offset, offsets.stored.at)",
        "Progress(offsets.source_offset, changelog_offset, time.time())",
        f"{_STORES}recovery_makes_rows_no_younger_before_its_end",
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
        "if offsets is not None and (write := offsets.unacknowledged.get(key)):",
        "if offsets is None and (write := self.offsets[partition].unacknowledged[key]):",
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
        "a partition that is recovered keeps its unacknowledged rows",
        "agents/runtime/changelog.py",
        "        stores[tp.topic].load(tp.partition)\n    if",
        "        if tp.partition not in stores[tp.topic].offsets:\n"
        "            stores[tp.topic].load(tp.partition)\n"
        "    if",
        f"{_CHANGELOG}a_rebalance_reads_a_partition_from_its_stored_rows",
    ),
    Bug(
        "acknowledged rows that cannot be stored are skipped",
        "agents/runtime/changelog.py",
        'fail_stop("rows of %s-%d were not stored: %r", *tp, error)',
        "log.exception(error)",
        f"{_ROWS}acknowledged_rows_that_cannot_be_stored_end_the_worker",
    ),
    Bug(
        "rows stay though the changelog has lost some of them",
        "agents/runtime/changelog.py",
        "elif 0 <= found < expected:",
        "elif found < 0:",
        f"{_ROWS}rows_behind_records_that_the_changelog_has_lost_are_dropped",
    ),
    Bug(
        "damage within a range of rows ends it silently",
        "agents/runtime/database.py",
        "            position.status()\n",
        "",
        f"{_STORES}damage_that_is_found_while_reading_discards_the_files_at_the_next_start",
    ),
    Bug(
        "damaged files are opened again",
        "agents/runtime/database.py",
        "if self._damage.path.exists():",
        "if False:",
        f"{_STORES}damage_that_is_found_while_reading_discards_the_files_at_the_next_start",
    ),
    Bug(
        "recovery stores no index entries",
        _STORE,
        "if value and (indexed := self._index(value)):",
        "if progress.at != offsets.stored.at and (indexed := self._index(value or b'')):",
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
        'pairs.append((prefix + key, stamp + (value or b"")))',
        'pairs.append((prefix + key, stamp + value if value else b""))',
        f"{_ROWS}a_zombies_write_of_a_deleted_row_does_not_count",
    ),
    Bug(
        "Faust logs errors for changelogs that are not read",
        "agents/worker/consumer.py",
        "    async def verify_all_partitions_active(self)",
        "    async def verify_nothing(self)",
        "tests/component/test_commits.py"
        "::test_no_error_is_logged_for_partitions_that_are_not_read",
    ),
    Bug(
        "rows of another format or cluster are used",
        "agents/runtime/database.py",
        "if (found := rows.get(FORMAT_KEY)) != self._format:",
        "if (found := rows.get(FORMAT_KEY)) is None:",
        f"{_STORES}rows_of_another_cluster_are_discarded",
    ),
    Bug(
        "the time to pay runs by the worker's clock",
        "agents/loms/payment_deadlines.py",
        "last = _index_value(now - self.time_to_pay)",
        "last = _index_value(datetime.now(UTC) - self.time_to_pay)",
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
    Bug(
        "a slow batch is logged all the time",
        "agents/runtime/in_flight.py",
        "batch.logged_from = seconds + REPEAT_SECONDS",
        "batch.logged_from = seconds",
        "tests/unit/test_slow_batches.py"
        "::test_a_slow_batch_is_logged_after_ten_seconds_and_once_a_minute",
    ),
)
