"""Bugs of batches, commits, rows and deadlines."""

from tests.planted.bug import Bug

_BATCHES = "tests/component/test_runtime_batches.py::test_"
_ROWS = "tests/component/test_rows.py::test_"
_DEADLINES = "tests/unit/test_deadlines.py::test_"
_CONCURRENT = "tests/component/test_concurrent_processor.py::test_"
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
        "            while open_batches and open_batches[0].acknowledged:\n"
        "                offsets[tp] = open_batches.popleft().end\n",
        "            for batch in filter(lambda b: b.acknowledged, open_batches):\n"
        "                offsets[tp] = batch.end\n",
        f"{_COMMITS}nothing_is_committed_over_an_unacknowledged_batch",
    ),
    Bug(
        "a batch that Faust acked is committed",
        "agents/worker/consumer.py",
        "        message.acked = True\n",
        "        message.acked = True\n"
        "        self._delivered[message.tp][-1].acknowledged = True\n",
        f"{_COMMITS}a_batch_that_faust_acked_is_not_committed_before_it_is_acknowledged",
    ),
    Bug(
        "records fetched before a seek are delivered after it",
        "agents/worker/consumer.py",
        "                if epoch != self._epoch:\n                    return\n",
        "",
        f"{_COMMITS}records_fetched_before_the_flow_stopped_are_not_delivered_after_it",
    ),
    Bug(
        "a partition without a commit is not sought",
        "agents/worker/consumer.py",
        "        if fresh:\n",
        "        if False:\n",
        f"{_COMMITS}a_partition_without_a_commit_begins_at_its_beginning",
    ),
    Bug(
        "batches delivered before a seek are committed after it",
        "agents/worker/consumer.py",
        "        self._delivered.clear()\n",
        "",
        f"{_COMMITS}a_batch_delivered_before_a_seek_is_not_committed_after_it",
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
        "for row in offsets.superseded.values():",
        "for row in ():",
        f"{_ROWS}a_zombies_write_is_overwritten_by_the_valid_row",
    ),
    Bug(
        "another writer is ignored",
        "agents/runtime/changelog.py",
        "if metadata.offset != expected:",
        "if False:",
        f"{_ROWS}another_writer_is_detected_at_the_next_row",
    ),
    Bug(
        "rows are written one by one",
        "agents/runtime/changelog.py",
        "        delivery = self._producer.send_batch(tp, rows.items(), headers)\n",
        "        for row in rows.items():\n"
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
        "files of a crash are used",
        "agents/runtime/state_store.py",
        "            complete = json.loads(checkpoint.read_text())\n"
        "            checkpoint.unlink()  # the files change from here on\n"
        "            _validate_checkpoint("
        "complete, self._cluster, _fingerprint(self._rows))\n",
        "            there = checkpoint.exists()\n"
        "            text = checkpoint.read_text() if there else '{\"ends\":{}}'\n"
        "            complete = json.loads(text)\n"
        "            checkpoint.unlink(missing_ok=True)\n",
        f"{_ROWS}files_of_a_crash_are_not_used_again",
    ),
    Bug(
        "rows behind an old checkpoint are used",
        "agents/runtime/state_store.py",
        "if not 0 <= age <= MAX_CHECKPOINT_AGE.total_seconds():",
        "if 0 > age:",
        "tests/unit/test_state_store.py::test_rows_behind_an_old_checkpoint_are_discarded",
    ),
    Bug(
        "a deleted row loses its source offset",
        "agents/runtime/state_store.py",
        'writes.put(prefix + key, stamp + (value or b""))',
        "value and writes.put(prefix + key, stamp + value) or writes.delete(prefix + key)",
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
        "files ahead of the changelog get a checkpoint",
        "agents/runtime/state_store.py",
        "if self.pending_acks:",
        "if False:",
        f"{_ROWS}files_that_are_ahead_of_the_changelog_are_not_used_again",
    ),
    Bug(
        "rows of another cluster are used",
        "agents/runtime/state_store.py",
        'if complete["cluster"] != cluster:',
        "if False:",
        "tests/unit/test_state_store.py::test_rows_of_another_cluster_are_discarded",
    ),
    Bug(
        "files are used though they have changed",
        "agents/runtime/state_store.py",
        'if complete["files"] != files:',
        "if False:",
        "tests/unit/test_state_store.py::test_a_damaged_file_loses_all_rows_or_none",
    ),
    Bug(
        "the time to pay runs by the worker's clock",
        "agents/loms/payment_deadlines.py",
        "deadline = (since + self.time_to_pay).timestamp()",
        "deadline = (datetime.now(since.tzinfo) + self.time_to_pay).timestamp()",
        f"{_DEADLINES}the_time_to_pay_runs_from_the_records_own_time",
    ),
    Bug(
        "deadlines are forgotten when the partitions change",
        "agents/loms/service.py",
        "self._deadlines.schedule_at(partition, key.decode(), since)",
        "pass",
        f"{_CONCURRENT}recovered_orders_that_await_payment_are_expired",
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
