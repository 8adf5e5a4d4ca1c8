"""Bugs of batches, commits and rows."""

from tests.planted.bug import Bug

_BATCHES = "tests/component/test_runtime_batches.py::test_"
_ROWS = "tests/component/test_rows.py::test_"
_COMMITS = "tests/component/test_commits.py::test_"

BUGS = (
    Bug(
        "a batch counts as settled before what it caused has arrived",
        "agents/runtime/in_flight.py",
        "            await acks\n"
        "            for batch in batches:\n"
        "                batch.acknowledged = True\n",
        "            for batch in batches:\n"
        "                batch.acknowledged = True\n"
        "            await acks\n",
        f"{_BATCHES}a_batch_is_settled_only_when_all_that_it_caused_has_arrived",
    ),
    Bug(
        "a commit passes over an open batch",
        "agents/worker/consumer.py",
        "            while open_batches and open_batches[0].acknowledged:\n"
        "                offsets[tp] = open_batches.popleft().end\n",
        "            for batch in filter(lambda b: b.acknowledged, open_batches):\n"
        "                offsets[tp] = batch.end\n",
        f"{_COMMITS}nothing_is_committed_over_a_batch_that_is_still_open",
    ),
    Bug(
        "what faust calls acked is committed",
        "agents/worker/consumer.py",
        "        message.acked = True\n",
        "        message.acked = True\n"
        "        self._delivered[message.tp][-1].acknowledged = True\n",
        f"{_COMMITS}what_faust_calls_acked_is_not_committed_before_it_is_settled",
    ),
    Bug(
        "records that were fetched before a seek are delivered after it",
        "agents/worker/consumer.py",
        "                if epoch != self._epoch:\n                    return\n",
        "",
        f"{_COMMITS}what_was_fetched_before_the_flow_stopped_is_not_delivered_after_it",
    ),
    Bug(
        "a partition without a commit is not sought",
        "agents/worker/consumer.py",
        "        if fresh:\n",
        "        if False:\n",
        f"{_COMMITS}a_partition_without_a_commit_begins_at_its_beginning",
    ),
    Bug(
        "batches of before a seek are committed after it",
        "agents/worker/consumer.py",
        "        self._delivered.clear()\n",
        "",
        f"{_COMMITS}what_was_delivered_before_a_seek_is_not_committed_after_it",
    ),
    Bug(
        "catches are as large as what was fetched",
        "agents/worker/consumer.py",
        "if size > MAX_CHUNK_BYTES:",
        "if size < 0:",
        f"{_COMMITS}a_long_fetch_is_cut_into_catches_of_bounded_size",
    ),
    Bug(
        "a stale row wins in recovery",
        "agents/runtime/changelog.py",
        "if not supersedes(row, known):",
        "if False:",
        f"{_ROWS}of_a_row_the_highest_version_stays_whichever_comes_last",
    ),
    Bug(
        "a frozen worker's last rows are left in the changelog",
        "agents/runtime/changelog.py",
        "for row in offsets.superseded.values():",
        "for row in ():",
        f"{_ROWS}what_a_frozen_worker_wrote_last_is_overwritten_by_what_is_true",
    ),
    Bug(
        "another writer is ignored",
        "agents/runtime/changelog.py",
        "if metadata.offset != expected:",
        "if False:",
        f"{_ROWS}another_writer_is_noticed_by_the_first_row_behind_his",
    ),
    Bug(
        "rows are written one by one",
        "agents/runtime/changelog.py",
        "        delivery = self._producer.send_batch(tp, rows.items(), headers)\n",
        "        for row in rows.items():\n"
        "            delivery = self._producer.send_batch(tp, [row], headers)\n",
        f"{_BATCHES}all_rows_of_a_record_arrive_together_and_say_what_they_include",
    ),
    Bug(
        "rows that a record batch has no room for are left out",
        "agents/runtime/producer.py",
        '                raise ValueError(f"more than one record batch for {tp}")\n',
        "                break\n",
        f"{_ROWS}rows_that_do_not_fit_together_are_not_written_at_all",
    ),
    Bug(
        "files of a crash are trusted",
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
        "rows that may have been erased meanwhile are trusted",
        "agents/runtime/state_store.py",
        "if not 0 <= age <= MAX_CHECKPOINT_AGE.total_seconds():",
        "if 0 > age:",
        "tests/unit/test_store.py::test_rows_that_may_have_been_erased_meanwhile_are_thrown_away",
    ),
    Bug(
        "a row that is deleted takes its version along",
        "agents/runtime/state_store.py",
        'writes.put(prefix + key, stamp + (value or b""))',
        "value and writes.put(prefix + key, stamp + value) or writes.delete(prefix + key)",
        f"{_ROWS}a_ghosts_last_words_about_a_row_that_was_deleted_do_not_count",
    ),
    Bug(
        "faust complains of changelogs that are not read",
        "agents/worker/consumer.py",
        "    async def verify_all_partitions_active(self)",
        "    async def verify_nothing(self)",
        "tests/component/test_commits.py"
        "::test_nobody_complains_of_partitions_that_are_not_read",
    ),
    Bug(
        "files that are ahead of the changelog are marked as complete",
        "agents/runtime/state_store.py",
        "if self.pending_acks:",
        "if False:",
        f"{_ROWS}files_that_are_ahead_of_the_changelog_are_not_used_again",
    ),
    Bug(
        "rows of another cluster are taken for ours",
        "agents/runtime/state_store.py",
        'if complete["cluster"] != cluster:',
        "if False:",
        "tests/unit/test_store.py::test_rows_of_another_cluster_are_thrown_away",
    ),
    Bug(
        "files are used though they were cut meanwhile",
        "agents/runtime/state_store.py",
        'if complete["files"] != files:',
        "if False:",
        "tests/unit/test_store.py::"
        "test_whatever_happens_to_a_file_all_rows_are_there_or_none",
    ),
)
