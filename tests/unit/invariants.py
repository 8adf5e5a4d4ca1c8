"""What is true of a World at every quiet moment, whatever the order of delivery."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from agents.loms.stock import ReservationStatus
from schemas.cart import AddToCart, DeleteFromCart, ListCart, Purchase, StockChecked
from schemas.contract import MAX_COUNT, Code, Contract, Done, Refused
from schemas.order import CancelOrder, CreateOrder, ListOrder, PayOrder, Status, order_id
from schemas.stock import ListStocks, ReceiveStock

from .ledger import Change, Ledger, Wish, units
from .shoppers import UNPAID_SECONDS

READS = (ListCart, ListOrder, ListStocks)
STANDING = {
    Status.AWAITING_PAYMENT: ReservationStatus.RESERVED,
    Status.PAID: ReservationStatus.SOLD,
}
LIVES = {
    (Status.NEW, Status.FAILED),
    (Status.NEW, Status.CANCELLED),
    (Status.NEW, Status.AWAITING_PAYMENT),
    (Status.NEW, Status.AWAITING_PAYMENT, Status.PAID),
    (Status.NEW, Status.AWAITING_PAYMENT, Status.CANCELLED),
}


def nothing_is_in_flight(ledger: Ledger) -> None:
    assert Status.NEW not in {order.status for order in ledger.orders.values()}
    assert not any(cart.checkouts for cart in ledger.carts.values())


def goods_are_conserved(ledger: Ledger) -> None:
    """Received = available + reserved + written off, in each warehouse; none below zero."""
    received: Counter[tuple[int, int]] = Counter()
    for wish, _ in ledger.done(ReceiveStock):
        received[wish.request.sku, wish.request.warehouse_id] += wish.request.count
    for sku, level in ledger.levels.items():
        held = {
            k: e
            for k, e in ledger.entries.items()
            if e.status is ReservationStatus.RESERVED
        }
        sold = {
            k: e for k, e in ledger.entries.items() if e.status is ReservationStatus.SOLD
        }
        assert units(held, sku) == level.reserved
        there = Counter(level.available) + units(held, sku) + units(sold, sku)
        assert there == {place: n for (of, place), n in received.items() if of == sku}
        assert min((*level.available.values(), *level.reserved.values()), default=1) > 0


def stock_agrees_with_orders(ledger: Ledger) -> None:
    """Whole lines of those that stand are set aside or written off, and nothing else."""
    assert {o for _, o in ledger.entries} <= set(ledger.orders)
    assert max(ledger.reserved.values(), default=0) <= 1
    for name, order in ledger.orders.items():
        for sku, count in order.lines.items():
            entry = ledger.entries[sku, name]
            stands = STANDING.get(order.status)
            assert entry.status in (
                [stands]
                if stands
                else [ReservationStatus.RELEASED, ReservationStatus.REFUSED]
            )
            assert not stands or count == sum(entry.allocation.values())


def every_life_is_legal(ledger: Ledger) -> None:
    for order in ledger.orders.values():
        assert tuple(step.status for step in order.history) in LIVES
        assert [step.at for step in order.history] == sorted(
            step.at for step in order.history
        )


def events_have_each_life_in_order(ledger: Ledger) -> None:
    assert set(ledger.world.events) == set(ledger.orders)
    for name, events in ledger.world.events.items():
        order = ledger.orders[name]
        sent = list(dict.fromkeys((event.status, event.at) for event in events))
        assert sent == [(step.status, step.at) for step in order.history]
        for event in events:
            assert {item.sku: item.count for item in event.items} == order.lines


def every_attempt_has_one_answer(ledger: Ledger) -> None:
    """Answers are equal; a repeated refusal may be `unavailable`."""
    for origin, attempt in ledger.world.attempts.items():
        answers = ledger.answers[origin]
        assert answers
        if isinstance(attempt.request, PayOrder):
            answers = _after_refusals(answers)
        if not isinstance(attempt.request, READS):
            codes = {a.code for a in answers if isinstance(a, Refused)}
            assert len(codes - {Code.UNAVAILABLE}) <= 1
            assert (
                len({a for a in answers if not isinstance(a, Refused)}) + bool(codes) == 1
            )


def _after_refusals(answers: list[Contract]) -> list[Contract]:
    """Leave out refusals that were decided again when the record was redelivered.

    An order keeps no refusals, as a cart does: a payment that was refused while the order
    was new may be done later (README: Limits).
    """
    return answers[answers.index(Done()) :] if Done() in answers else answers[-1:]


def every_wish_that_came_true_has_one_answer(ledger: Ledger) -> None:
    for wish, attempts in ledger.wishes.items():
        if not isinstance(wish.request, READS):
            answers = {
                a for replies in attempts for a in replies if not isinstance(a, Refused)
            }
            assert len(answers) <= 1


def each_end_of_an_order_has_one_done_request(ledger: Ledger) -> None:
    """And by no other request."""
    for kind, status in ((PayOrder, Status.PAID), (CancelOrder, Status.CANCELLED)):
        for wish, answer in ledger.done(kind):
            assert answer == Done()
            assert ledger.orders[wish.request.order_id].status is status
    for order in ledger.orders.values():
        *_, before, last = order.history
        ended_by = ledger.world.attempts.get(last.origin)
        if last.status is Status.PAID:
            assert ended_by
            assert isinstance(ended_by.request, PayOrder)
        if last.status in (Status.PAID, Status.CANCELLED) and ended_by:
            assert Done() in ledger.world.replies[last.origin]
        elif last.status is Status.CANCELLED:
            assert last.at - before.at >= timedelta(seconds=UNPAID_SECONDS)


def each_order_was_wished_for_once(ledger: Ledger) -> None:
    wished = {}
    for wish, answer in ledger.done(CreateOrder):
        name = order_id(wish.request.user, wish.request_id)
        assert name == answer.order_id
        wished[name] = {item.sku: item.count for item in wish.request.items}
    for wish, answer in ledger.done(Purchase):
        name = order_id(wish.request.user, f"purchase:{wish.request_id}")
        assert name == answer.order_id
        (change,) = ledger.changes[wish.request.user, wish.request_id]
        wished[name] = change.before
    assert wished == {name: order.lines for name, order in ledger.orders.items()}


def each_wish_changes_a_cart_once(ledger: Ledger) -> None:
    done = {wish for wish, _ in ledger.done(Contract)}
    for (_, request_id), changes in ledger.changes.items():
        (change,) = changes
        wish, delta = _wished(change)
        assert Wish(wish, request_id) in done
        assert delta == change.delta
    for wish, _ in ledger.done(AddToCart):
        assert ledger.changes[wish.request.user, wish.request_id]


def _wished(change: Change) -> tuple[Contract, dict[int, int]]:
    """The client's request behind a change, and what it may do."""
    request = change.request
    match request:
        case StockChecked(user=user, sku=sku, count=count):
            return AddToCart(user=user, sku=sku, count=count), {sku: count}
        case DeleteFromCart(sku=sku, count=count):
            return request, {sku: -min(count, change.before[sku])}
        case _:
            assert isinstance(request, Purchase)
            return request, {sku: -count for sku, count in change.before.items()}


def lines_return_from_failed_orders_only(ledger: Ledger) -> None:
    for wish, answer in ledger.done(Purchase):
        order = ledger.orders[answer.order_id]
        (change,) = ledger.returns[wish.request.user, wish.request_id]
        for sku, count in order.lines.items():
            there = change.before.get(sku, 0)
            back = min(count, MAX_COUNT - there) if order.status is Status.FAILED else 0
            assert there + back == change.after.get(sku, 0)


def a_replay_comes_to_the_same_rows(ledger: Ledger) -> None:
    assert ledger.live == ledger.replayed


INVARIANTS: tuple[Callable[[Ledger], None], ...] = (
    nothing_is_in_flight,
    goods_are_conserved,
    stock_agrees_with_orders,
    every_life_is_legal,
    events_have_each_life_in_order,
    every_attempt_has_one_answer,
    every_wish_that_came_true_has_one_answer,
    each_end_of_an_order_has_one_done_request,
    each_order_was_wished_for_once,
    each_wish_changes_a_cart_once,
    lines_return_from_failed_orders_only,
    a_replay_comes_to_the_same_rows,
)

OF_GOODS = (nothing_is_in_flight, goods_are_conserved, a_replay_comes_to_the_same_rows)
"""Those that hold also where users are erased, whose answers then differ."""
