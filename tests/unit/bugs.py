"""Bugs to plant into the rules, one at a time."""

from agents import aggregate
from agents.checkout import cart
from agents.loms import order, stock

from . import (
    test_cart,
    test_order,
    test_order_deletion,
    test_retention,
    test_stock,
    test_world_days,
    test_world_retention,
)
from .bug import Bug

_DAYS = test_world_days.test_every_law_holds_while_rows_expire
_MONTHS = test_world_retention.test_every_law_holds_while_orders_are_deleted

BUGS = (
    Bug(
        "a cart drops its processed requests",
        cart,
        "lines=lines, processed=processed)\n        case CheckedOut",
        "lines=lines)\n        case CheckedOut",
    ),
    Bug("a cart drops its refusals", cart, "if cause.origin in cart.refused:", "if False:"),
    Bug(
        "a cart takes no notice of another request under the same key",
        cart,
        "if known is not None and known != request_fingerprint(request):",
        "if False:",
    ),
    Bug(
        "bought lines stay in the cart",
        cart,
        "replace(cart, lines={}, processed",
        "replace(cart, processed",
    ),
    Bug(
        "lines of an order that stands return",
        cart,
        "refused or settled.status is Status.FAILED",
        "True",
    ),
    Bug(
        "lines of a failed order are lost",
        cart,
        "refused or settled.status is Status.FAILED",
        "refused",
    ),
    Bug(
        "a line wraps at 65536",
        cart,
        "    if total > MAX_COUNT:",
        "    total &= MAX_COUNT\n    if total > MAX_COUNT:",
    ),
    Bug(
        "a cart takes more than can be bought",
        cart,
        "if total > checked.available:",
        "if checked.count > checked.available:",
        test_cart.test_a_line_cannot_pass_what_can_be_bought,
    ),
    Bug(
        "a refused record is processed when it is redelivered",
        aggregate,
        "state if redelivered else reduce(",
        "reduce(",
    ),
    Bug(
        "a cancelled order can be paid",
        order,
        "allowed = Status.PAID, (Status.AWAITING_PAYMENT,)",
        "allowed = Status.PAID, (Status.AWAITING_PAYMENT, Status.CANCELLED)",
    ),
    Bug("an order expires too early", order, " or cause.timestamp < due:", ":"),
    Bug(
        "a paid order expires",
        order,
        "order.status is not Status.AWAITING_PAYMENT or cause.timestamp < due",
        "cause.timestamp < due",
    ),
    Bug(
        "an answer of stock is ignored",
        order,
        "reserved = answer.reserved and all(order.answers.values())",
        "reserved = answer.reserved",
    ),
    Bug(
        "an answer of stock counts twice",
        order,
        "answer.sku in order.answers or answer.sku not in order.lines",
        "answer.sku not in order.lines",
    ),
    Bug(
        "a late answer of stock revives a cancelled order",
        order,
        "if not last or order.status is not Status.NEW:",
        "if not last:",
    ),
    Bug(
        "a failed order keeps what it had reserved",
        order,
        "(sku for sku, yes in order.answers.items() if yes)",
        "()",
    ),
    Bug(
        "the caller of an order that is cancelled meanwhile receives nothing",
        order,
        "        yield _placement_reply(order, cause)\n\n\ndef _conflict",
        "        if order.status is not Status.CANCELLED:\n"
        "            yield _placement_reply(order, cause)\n\n\ndef _conflict",
    ),
    Bug(
        "an order that is cancelled while it is new keeps what is reserved later",
        order,
        "_release(order, order.lines)",
        "_release(order, order.answers)",
    ),
    Bug(
        "a retry sends the events of another attempt again",
        order,
        "if change.status in statuses and change.origin == cause.origin:",
        "if change.status in statuses:",
        test_order.test_a_retry_of_a_new_order_reserves_again_and_sends_no_event_again,
    ),
    Bug(
        "an order is deleted too early",
        order,
        "at - self.history[-1].at >= timedelta(days=days)",
        "True",
        _MONTHS,
    ),
    Bug(
        "an open order is deleted",
        order,
        "self.status not in OPEN and self.last_answer is not None",
        "self.last_answer is not None",
        _MONTHS,
    ),
    Bug(
        "an order is deleted while stock has still to answer",
        order,
        "self.status not in OPEN and self.last_answer is not None",
        "self.status not in OPEN",
        test_order_deletion.test_an_order_that_waits_for_an_answer_of_stock_is_kept,
    ),
    Bug(
        "the days until a deletion run from the first status",
        order,
        "at - self.history[-1].at >= timedelta(days=days)",
        "at - self.history[0].at >= timedelta(days=days)",
        test_order_deletion.test_the_days_run_from_the_last_status,
    ),
    Bug(
        "an order is deleted by the clock of the worker",
        order,
        "order.is_deletable(cause.timestamp, days)",
        "order.is_deletable(datetime.now().astimezone(), days)",
        test_order_deletion.test_the_days_run_from_the_last_status,
    ),
    Bug(
        "a late answer to a deleted order is refused",
        order,
        "    if isinstance(request, _Internal):",
        "    if order and isinstance(request, _Internal):",
        test_order_deletion.test_a_late_message_of_the_shop_changes_nothing_and_reaches_no_client,
    ),
    Bug(
        "goods are sold twice",
        stock,
        "entry.status is not ReservationStatus.RESERVED",
        "entry.status is ReservationStatus.RELEASED",
    ),
    Bug(
        "a reservation that is requested twice is made twice",
        stock,
        "case Reserve() if state.entry is None:",
        "case Reserve() if True:",
    ),
    Bug(
        "a refusal of stock is decided again",
        stock,
        "case Reserve() if state.entry is None:",
        "case Reserve() if not getattr(state.entry, 'allocation', None):",
    ),
    Bug(
        "a release that comes first is ignored",
        stock,
        "return [_nothing_moved(ReservationStatus.RELEASED, cause)]",
        "return []",
        test_stock.test_a_release_that_comes_first_makes_the_reservation_come_to_nothing,
    ),
    Bug(
        "more is reserved than there is",
        stock,
        "if sum(level.available.values()) < request.count:",
        "if not level.available:",
    ),
    Bug(
        "goods go back to another warehouse",
        stock,
        "ReservationStatus.RELEASED, entry.allocation\n",
        "ReservationStatus.RELEASED, "
        "{min(entry.allocation): sum(entry.allocation.values())}\n",
    ),
    Bug(
        "goods are received twice",
        stock,
        "    if isinstance(state.entry, Receipt):\n",
        "    if False:\n",
    ),
    Bug(
        "a reservation takes from the emptiest warehouse first",
        stock,
        "(-w[1], w[0])",
        "(w[1], w[0])",
        test_stock.test_a_reservation_takes_from_the_fullest_and_of_equals_from_the_lowest,
    ),
    Bug(
        "a reservation that is held expires",
        stock,
        "case Reservation(status=ReservationStatus.RESERVED) | StockLevel():",
        "case StockLevel():",
        _DAYS,
    ),
    Bug(
        "a late reserve reserves again",
        stock,
        "if request.at is not None and cause.timestamp - request.at > MAX_RESERVE_AGE:",
        "if False:",
        _DAYS,
    ),
    Bug(
        "a reserve counts as late long after the entry has expired",
        stock,
        "cause.timestamp - request.at > MAX_RESERVE_AGE",
        "cause.timestamp - request.at > 2 * RETENTION",
        _DAYS,
    ),
    Bug(
        "the receipt of a forwarded record is kept for a day only",
        stock,
        "return at + FORWARDED_RETENTION",
        "return at + RETENTION",
        _DAYS,
    ),
    Bug(
        "a receipt that is forwarded later is kept for a day only",
        stock,
        "if receipt.is_forwarded and not state.entry.is_forwarded:",
        "if False:",
        test_retention.test_a_receipt_that_is_forwarded_later_is_kept_as_long,
    ),
    Bug(
        "a late release makes its order reserve again",
        stock,
        "return [_nothing_moved(ReservationStatus.RELEASED, cause)]",
        "return [_reserve(state.level, Reserve(sku=request.sku, order_id=request.order_id,"
        " count=1), cause)]",
        _DAYS,
    ),
    Bug(
        "a cart with lines expires",
        cart,
        "if cart.lines or cart.checkouts or cart.changed_at is None:",
        "if cart.checkouts or cart.changed_at is None:",
        test_retention.test_a_cart_expires_when_it_is_empty,
    ),
    Bug(
        "a cart with a purchase in flight expires",
        cart,
        "if cart.lines or cart.checkouts or cart.changed_at is None:",
        "if cart.lines or cart.changed_at is None:",
        test_retention.test_a_cart_expires_when_it_is_empty,
    ),
    Bug(
        "a cart expires a month after its first change",
        cart,
        "changed_at=event.at)",
        "changed_at=(cart or Cart()).changed_at or event.at)",
        test_retention.test_each_change_keeps_a_cart_for_another_month,
    ),
    Bug(
        "rows are absent for records from before they expire",
        aggregate,
        "return row if end is None or at < end else None",
        "return row if end is None else None",
        _DAYS,
    ),
)
