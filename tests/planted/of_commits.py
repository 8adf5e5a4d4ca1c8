"""Bugs of batches, commits and changelogs."""

from tests.planted.bug import Bug

_BATCHES = "tests/component/test_runtime_batches.py::test_"
_ROWS = "tests/component/test_rows.py::test_"
_STORES = "tests/unit/test_state_store.py::test_"
_CHANGELOG = "tests/unit/test_changelog.py::test_"
_COMMITS = "tests/component/test_commits.py::test_"
_RELEASES = "tests/component/test_releases.py::test_"

BUGS = (
    Bug(
        "a worker ends if it is not connected when Faust's commit timer runs first",
        "agents/worker/consumer.py",
        "if not self._served or self._coordinator.is_joining",
        "if self._coordinator.is_joining",
        f"{_COMMITS}nothing_is_committed_before_the_member_is_connected",
    ),
    Bug(
        "a batch counts as acknowledged before what it caused is",
        "agents/runtime/in_flight.py",
        "                await acks\n"
        "                for batch in batches:\n"
        "                    batch.acknowledged = True\n",
        "                for batch in batches:\n"
        "                    batch.acknowledged = True\n"
        "                await acks\n",
        f"{_BATCHES}a_batch_is_acknowledged_only_when_all_that_it_caused_is",
    ),
    Bug(
        "a commit passes over an unacknowledged batch",
        "agents/worker/delivery.py",
        "        while self.batches and self.batches[0].acknowledged:\n"
        "            batch = self.batches.popleft()\n",
        "        for batch in filter(lambda b: b.acknowledged, self.batches):\n",
        f"{_COMMITS}nothing_is_committed_over_an_unacknowledged_batch",
    ),
    Bug(
        "a batch that Faust acked is committed",
        "agents/worker/delivery.py",
        "        message.acked = True\n",
        "        message.acked = True\n        message.value[0].acknowledged = True\n",
        f"{_COMMITS}a_batch_that_faust_acked_is_not_committed_before_it_is_acknowledged",
    ),
    Bug(
        "records fetched before a revocation are delivered after it",
        "agents/worker/delivery.py",
        "batches = [b for b in chunk if self._served.get(b.tp) is served[b.tp]]",
        "batches = [b for b in chunk if b.tp in self._served]",
        f"{_COMMITS}records_fetched_before_a_revocation_are_not_delivered_after_it",
    ),
    Bug(
        "a partition without a commit is not sought",
        "agents/worker/consumer.py",
        "            else:\n                await consumer.seek_to_beginning(tp)\n",
        "",
        f"{_RELEASES}a_partition_begins_where_it_is_committed_or_at_its_beginning",
    ),
    Bug(
        "a batch of a revoked partition is committed in the background",
        "agents/worker/consumer.py",
        "self._revoked[tp] = self._served.pop(tp)",
        "self._revoked[tp] = self._served[tp]",
        f"{_RELEASES}a_batch_of_a_revoked_partition_is_not_committed_in_the_background",
    ),
    Bug(
        "chunks are as large as the fetch",
        "agents/worker/delivery.py",
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
        "processing begins before a zombie's rows are rewritten",
        "agents/runtime/changelog.py",
        "        if deliveries:\n            await asyncio.wait(deliveries)\n",
        "",
        f"{_ROWS}a_zombies_write_is_overwritten_by_the_valid_row",
    ),
    Bug(
        "rows are young before their changelog was read to its end",
        "agents/runtime/changelog.py",
        "Progress(offsets.source_offset, changelog_offset, offsets.stored.at)",
        "Progress(offsets.source_offset, changelog_offset, time.time())",
        f"{_STORES}recovery_makes_rows_no_younger_before_its_end",
    ),
    Bug(
        "a partition that is recovered keeps its unacknowledged rows",
        "agents/runtime/changelog.py",
        "        stores[tp.topic].load(tp.partition)\n    consumer",
        "        if tp.partition not in stores[tp.topic].offsets:\n"
        "            stores[tp.topic].load(tp.partition)\n"
        "    consumer",
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
        "Faust logs errors for changelogs that are not read",
        "agents/worker/delivery.py",
        "    async def verify_all_partitions_active(self)",
        "    async def verify_nothing(self)",
        "tests/component/test_commits.py"
        "::test_no_error_is_logged_for_partitions_that_are_not_read",
    ),
    Bug(
        "a slow batch is logged all the time",
        "agents/runtime/in_flight.py",
        "batch.logged_from = seconds + REPEAT_SECONDS",
        "batch.logged_from = seconds",
        "tests/unit/test_slow_batches.py"
        "::test_a_slow_batch_is_logged_after_ten_seconds_and_once_a_minute",
    ),
    Bug(
        "records that wait during a rebalance are skipped",
        "agents/worker/consumer.py",
        "        await self.app.topics.maybe_wait_for_subscriptions()\n",
        "        self.app.consumer_generation_id = self._generation\n"
        "        await self.app.topics.maybe_wait_for_subscriptions()\n",
        f"{_RELEASES}records_that_were_delivered_before_a_rebalance_are_not_skipped",
    ),
)
