"""Bugs of the audit: an audit that finds nothing must be noticed."""

from tests.planted.bug import Bug

_INVARIANTS = "tests/unit/test_audit_invariants.py::test_"
_REPLAY = "tests/unit/test_audit_replay.py::test_"
_OUTPUTS = "tests/unit/test_audit_outputs.py::test_"
_QUERIES = "tests/unit/test_audit_queries.py::test_"
_CHECKPOINT = "tests/unit/test_audit_checkpoint.py::test_"
_FILES = "tests/unit/test_checkpoint_files.py::test_"
_MOVED = "tests/unit/test_audit_moved.py::test_"
_DELETION = "tests/component/test_audit_checkpoint.py::test_"
_SNAPSHOTS = "tests/unit/test_audit_snapshots.py::test_"

BUGS = (
    Bug(
        "received units are not compared with the balance",
        "agents/ops/audit/invariants.py",
        'if units["received"] != accounted and sku not in uncounted:',
        "if False:",
        f"{_INVARIANTS}units_released_into_another_warehouse_are_named_in_both",
    ),
    Bug(
        "reserved units are not compared with reservations",
        "agents/ops/audit/invariants.py",
        "if reserved != held:",
        "if False:",
        f"{_INVARIANTS}units_that_are_sold_and_still_reserved_are_named",
    ),
    Bug(
        "an order's reservations may have any status",
        "agents/ops/audit/invariants.py",
        "if status not in allowed or (required and units != count):",
        "if required and units != count:",
        f"{_INVARIANTS}an_order_that_contradicts_its_reservations_is_named",
    ),
    Bug(
        "units may be sold without an order",
        "agents/ops/audit/invariants.py",
        "if order is None or int(sku) not in order.lines:",
        "if order is not None and int(sku) not in order.lines:",
        f"{_INVARIANTS}units_of_a_missing_order_are_named",
    ),
    Bug(
        "a purchase may wait for ever",
        "agents/ops/audit/invariants.py",
        "if order is None or order.status is not Status.NEW:",
        "if order is not None and order.status is not Status.NEW:",
        f"{_INVARIANTS}a_purchase_that_will_never_end_is_named",
    ),
    Bug(
        "rows that a snapshot lacks are not noticed",
        "agents/ops/audit/replay.py",
        "snapshot.rows.keys() | {key.encode() for key in self.rows}:",
        "snapshot.rows.keys():",
        f"{_SNAPSHOTS}a_missing_row_is_named",
    ),
    Bug(
        "an invalid row counts as no row",
        "agents/ops/audit/snapshots.py",
        'return _INVALID, f"{text}, which is invalid"',
        "return None, NO_ROW",
        f"{_SNAPSHOTS}an_invalid_row_is_named",
    ),
    Bug(
        "the audit takes a zombie's rows",
        "agents/ops/audit/snapshots.py",
        "if supersedes(row, self.rows.get(row.key)):",
        "if True:",
        f"{_SNAPSHOTS}of_a_rows_changelog_records_the_highest_source_offset_wins",
    ),
    Bug(
        "a snapshot is compared with the whole log",
        "agents/ops/audit/replay.py",
        "while self._snapshots and self._snapshots[-1].source_offset <= offset:",
        "while self._snapshots and self._snapshots[-1].source_offset < offset:",
        f"{_SNAPSHOTS}tables_match_their_logs_while_messages_are_in_flight",
    ),
    Bug(
        "a snapshot may be ahead of its log",
        "agents/ops/audit/replay.py",
        "if snapshot.source_offset > end:",
        "if False:",
        f"{_REPLAY}a_snapshot_ahead_of_its_log_is_named",
    ),
    Bug(
        "an event needs no notification",
        "agents/ops/audit/outputs.py",
        "(sent is None or key.encode() not in sent.rows):",
        "sent is None:",
        f"{_REPLAY}a_committed_event_has_a_notification",
    ),
    Bug(
        "an event needs a notification before it is committed",
        "agents/ops/audit/outputs.py",
        "if is_committed and isinstance(request, OrderStatusChanged):",
        "if isinstance(request, OrderStatusChanged):",
        f"{_REPLAY}a_committed_event_has_a_notification",
    ),
    Bug(
        "a log without its first records is replayed",
        "agents/ops/audit/audit.py",
        ".begin == 0",
        ".begin >= 0",
        f"{_REPLAY}a_log_without_its_first_records_is_not_replayed",
    ),
    Bug(
        "a missing output is not expected",
        "agents/ops/audit/outputs.py",
        "self.missing[fingerprint] = _missing(source, output.topic, key)",
        "_missing(source, output.topic, key)",
        f"{_OUTPUTS}a_command_that_was_never_sent_is_named",
    ),
    Bug(
        "an output in flight is expected",
        "agents/ops/audit/outputs.py",
        "if is_committed:",
        "if True:",
        f"{_OUTPUTS}outputs_of_uncommitted_records_are_in_flight",
    ),
    Bug(
        "an error of a coordinator is ignored",
        "topics/kafka/reader.py",
        "if missing := set(tps) - answer.keys():",
        "if missing := ():",
        "tests/unit/test_topic_reader.py"
        "::test_committed_offsets_are_read_once_the_coordinator_has_them",
    ),
    Bug(
        "any reply is right",
        "agents/ops/audit/queries.py",
        "return bool(reply == expected)",
        "return type(reply) is type(expected)",
        f"{_QUERIES}a_reply_of_no_state_is_wrong",
    ),
    Bug(
        "a reply of a later state is wrong",
        "agents/ops/audit/queries.py",
        "if self._wrong and (query or replayed.changed):",
        "if self._wrong and query:",
        f"{_QUERIES}a_reply_of_a_later_state_is_right_as_well",
    ),
    Bug(
        "a checkpoint has the rows at the end of the log",
        "agents/ops/audit/replay.py",
        "if self._capture_at is not None and self._capture_at <= offset:",
        "if self._capture_at is not None and offset == sys.maxsize:",
        f"{_CHECKPOINT}an_audit_from_a_checkpoint_finds_the_same",
    ),
    Bug(
        "a checkpoint lacks the outputs that were sent early",
        "agents/ops/audit/outputs.py",
        "[output for key, output in uncommitted if key in self._observed]",
        "[output for key, output in uncommitted if key is None]",
        f"{_CHECKPOINT}an_audit_from_a_checkpoint_finds_the_same",
    ),
    Bug(
        "a checkpoint begins at the ends of the logs",
        "agents/ops/audit/checkpoint.py",
        "max(begin, committed.get(tp, 0)) if tp.topic in consumed else end",
        "end",
        f"{_CHECKPOINT}a_lost_output_of_a_record_that_was_uncommitted_is_named",
    ),
    Bug(
        "a damaged file of a checkpoint is read",
        "agents/ops/audit/checkpoint_files.py",
        "if not file.exists() or _digest(file) != digests.get(name):",
        "if not file.exists():",
        f"{_FILES}a_damaged_file_is_refused",
    ),
    Bug(
        "a checkpoint is visible before its files are on the disk",
        "agents/ops/audit/checkpoint_files.py",
        "with TemporaryDirectory(prefix=",
        "path.mkdir()\n    with TemporaryDirectory(prefix=",
        f"{_FILES}an_interrupted_write_leaves_no_checkpoint",
    ),
    Bug(
        "an audit begins above the checkpoint",
        "agents/ops/audit/checkpoint.py",
        "if begin > offset and tp.topic in REQUESTS:",
        "if False:",
        f"{_CHECKPOINT}logs_that_do_not_continue_a_checkpoint_are_refused",
    ),
    Bug(
        "an old store is compared with the rows of a checkpoint",
        "agents/ops/audit/replay.py",
        "if snapshot.store and snapshot.source_offset < self._begin:",
        "if False:",
        f"{_CHECKPOINT}a_store_from_before_a_checkpoint_is_not_compared",
    ),
    Bug(
        "after a repartition an audit begins one record too early",
        "agents/ops/audit/moved.py",
        "return [part.end for part in moved.new]",
        "return [max(0, part.end - 1) for part in moved.new]",
        f"{_MOVED}a_checkpoint_of_the_stopped_shop_goes_on",
    ),
    Bug(
        "after a repartition an audit begins one record too late",
        "agents/ops/audit/moved.py",
        "return [part.begin for part in moved.new]",
        "return [min(part.begin + 1, part.end) for part in moved.new]",
        f"{_MOVED}a_checkpoint_whose_older_requests_were_deleted_goes_on",
    ),
    Bug(
        "a repartition loses what was received and sold until then",
        "agents/ops/audit/moved.py",
        "turnover[number][sku, warehouse].update(units)",
        "del number",
        f"{_MOVED}a_checkpoint_of_the_stopped_shop_goes_on",
    ),
    Bug(
        "rows of a checkpoint do not follow their owners",
        "agents/ops/audit/moved.py",
        "rows[partition_of(owner.encode(), len(offsets))][key] = row",
        "rows[partition_of(key.encode(), len(offsets))][key] = row; del owner",
        f"{_MOVED}a_checkpoint_of_the_stopped_shop_goes_on",
    ),
    Bug(
        "a checkpoint lies among the moved records",
        "agents/ops/audit/moved.py",
        "offsets == [part.begin for part in moved.old]",
        "offsets",
        f"{_MOVED}a_checkpoint_of_the_running_shop_is_refused",
    ),
    Bug(
        "a shop with differences gets a checkpoint",
        "agents/ops/audit/__main__.py",
        "if report.is_clean and report.checkpoint:",
        "if report.checkpoint:",
        f"{_DELETION}a_forged_row_is_found_and_gives_no_checkpoint",
    ),
    Bug(
        "requests are deleted that their group has not committed",
        "agents/ops/audit/deletion.py",
        "if tp.topic in owners and committed.get(tp, 0) < offset:",
        "if False:",
        f"{_DELETION}no_request_is_deleted_while_a_group_lags",
    ),
)
