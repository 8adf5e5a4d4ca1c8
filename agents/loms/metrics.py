"""Metrics of orders: statuses, duration of reservations, lateness of cancellations."""

from datetime import timedelta
from itertools import pairwise

from prometheus_client import Counter, Histogram

from agents.loms.order import Order, StatusChange
from schemas.order import Status

ORDERS = Counter("orders_total", "Statuses that orders took.", ["status"])
SAGA = Histogram(
    "order_saga_duration_seconds",
    "From createOrder to awaiting payment, by the broker's clock.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60),
)
LATENESS = Histogram(
    "order_timeout_lateness_seconds",
    "From the end of the time to pay to the cancellation, by the broker's clock.",
    buckets=(0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 60, 600),
)

_ORDERS = {status: ORDERS.labels(status) for status in Status}


def observe(before: Order | None, after: Order, time_to_pay: timedelta) -> None:
    """Observe each status that an order took between two versions of its row."""
    known = len(before.history) if before else 0
    for change in after.history[known:]:
        _ORDERS[change.status].inc()
    for previous, change in list(pairwise(after.history))[max(known - 1, 0) :]:
        _observe_change(after, previous, change, time_to_pay)


def _observe_change(
    order: Order, previous: StatusChange, change: StatusChange, time_to_pay: timedelta
) -> None:
    if change.status is Status.AWAITING_PAYMENT:
        SAGA.observe((change.at - order.history[0].at).total_seconds())
    elif previous.status is Status.AWAITING_PAYMENT:
        late = change.at - previous.at - time_to_pay
        if change.status is Status.CANCELLED and late >= timedelta():
            LATENESS.observe(late.total_seconds())
