"""Bugs of the audit: who finds nothing must be found himself."""

from tests.planted.bug import Bug

_BOOKS = "tests/unit/test_audit_books.py::test_"
_FOLDING = "tests/unit/test_audit_folding.py::test_"
_PROMISES = "tests/unit/test_audit_promises.py::test_"
_QUESTIONS = "tests/unit/test_audit_questions.py::test_"
_TABLES = "tests/unit/test_audit_tables.py::test_"

BUGS = (
    Bug(
        "what was received is not held against what is there",
        "agents/ops/audit/invariants.py",
        "if self.received != there:",
        "if False:",
        f"{_BOOKS}goods_that_went_back_to_another_warehouse_are_missed_in_both",
    ),
    Bug(
        "what is set aside is not held against its entries",
        "agents/ops/audit/invariants.py",
        "if self.reserved != self.held:",
        "if False:",
        f"{_BOOKS}goods_that_are_sold_and_still_set_aside_are_named",
    ),
    Bug(
        "an order's goods may have any fate",
        "agents/ops/audit/invariants.py",
        "if fate not in wanted or (stands and pieces != count):",
        "if stands and pieces != count:",
        f"{_BOOKS}an_order_that_stock_knows_otherwise_is_named",
    ),
    Bug(
        "goods may be sold to nobody",
        "agents/ops/audit/invariants.py",
        "if order is None or int(sku) not in order.lines:",
        "if order is not None and int(sku) not in order.lines:",
        f"{_BOOKS}goods_of_an_order_that_is_not_there_are_named",
    ),
    Bug(
        "a purchase may wait for ever",
        "agents/ops/audit/verdict.py",
        "if order is None or order.status is not Status.NEW:",
        "if order is not None and order.status is not Status.NEW:",
        f"{_BOOKS}a_purchase_that_will_never_end_is_named",
    ),
    Bug(
        "rows that a copy lacks are not missed",
        "agents/ops/audit/snapshots.py",
        "copy.rows.keys() | {key.encode() for key in replay.rows}:",
        "copy.rows.keys():",
        f"{_TABLES}a_row_that_is_missing_is_named",
    ),
    Bug(
        "a row that can't be read is as good as none",
        "agents/ops/audit/snapshots.py",
        "if found != folded or (found is None and text is not _NOTHING):",
        "if found is not None and found != folded:",
        f"{_TABLES}a_row_that_nobody_can_read_is_named",
    ),
    Bug(
        "the audit believes a ghost's rows",
        "agents/ops/audit/snapshots.py",
        "if there is None or kept.row.version >= there.row.version:",
        "if True:",
        f"{_TABLES}of_a_rows_changelog_records_the_highest_version_counts",
    ),
    Bug(
        "a copy is compared with all that there is, whatever its version",
        "agents/ops/audit/replay.py",
        "while self._stops and self._stops[-1][0] <= offset:",
        "while self._stops and self._stops[-1][0] < offset:",
        f"{_TABLES}tables_are_what_their_logs_say_even_while_much_is_under_way",
    ),
    Bug(
        "a copy may hold more than its log",
        "agents/ops/audit/folding.py",
        "if copy.version > self._spans[tp].end:",
        "if False:",
        f"{_FOLDING}a_copy_that_holds_more_than_its_log_is_named",
    ),
    Bug(
        "a fact needs no notice",
        "agents/ops/audit/folding.py",
        "if done and (sent is None or event_id.encode() not in sent.rows):",
        "if done and sent is None:",
        f"{_FOLDING}a_fact_whose_reader_is_done_with_it_has_a_notice",
    ),
    Bug(
        "a fact needs a notice before its reader is done with it",
        "agents/ops/audit/folding.py",
        "if done and (sent is None",
        "if (sent is None",
        f"{_FOLDING}a_fact_whose_reader_is_done_with_it_has_a_notice",
    ),
    Bug(
        "a log without its beginning is folded",
        "agents/ops/audit/folding.py",
        ".begin == 0",
        ".begin >= 0",
        f"{_FOLDING}what_a_log_without_its_beginning_says_is_not_folded",
    ),
    Bug(
        "what was never said is not owed",
        "agents/ops/audit/outputs.py",
        "self._owed[mark] = Owed(source, letter.topic, key)",
        "Owed(source, letter.topic, key)",
        f"{_PROMISES}a_command_that_was_never_said_is_named",
    ),
    Bug(
        "what is under way is owed",
        "agents/ops/audit/outputs.py",
        "if record.offset < done:",
        "if True:",
        f"{_PROMISES}what_uncommitted_records_had_to_say_is_under_way",
    ),
    Bug(
        "a coordinator that refuses to answer is believed",
        "topics/kafka/reader.py",
        "if missing := set(tps) - answer.keys():",
        "if missing := ():",
        "tests/unit/test_audit_logs.py"
        "::test_what_a_group_has_committed_is_known_once_its_coordinator_knows",
    ),
    Bug(
        "any answer is right",
        "agents/ops/audit/queries.py",
        "return answer == expected",
        "return type(answer) is type(expected)",
        f"{_QUESTIONS}an_answer_of_no_state_is_wrong",
    ),
    Bug(
        "an answer of a later state is wrong",
        "agents/ops/audit/queries.py",
        "elif turn.changed and self._doubtful:",
        "elif False:",
        f"{_QUESTIONS}an_answer_of_a_later_state_is_right_as_well",
    ),
)
