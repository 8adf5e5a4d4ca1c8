"""What Prometheus is told of orders: how fast they are reserved, how late given up."""

from datetime import timedelta

from prometheus_client import Histogram

from agents.loms.order import Order
from schemas.order import Status

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


def observe(order: Order, time_to_pay: timedelta) -> None:
    """Time an order that records have just changed.

    It comes by once as awaiting payment, and once as what it is after that: stock has
    nothing to say to it any more.
    """
    if order.anonymized:  # that is no step: it came by as what it is
        return
    before, now = (
        order.history[-2:] if len(order.history) > 1 else (None, order.history[-1])
    )
    if now.status is Status.AWAITING_PAYMENT:
        SAGA.observe((now.at - order.history[0].at).total_seconds())
    elif before and before.status is Status.AWAITING_PAYMENT:
        late = now.at - before.at - time_to_pay
        if now.status is Status.CANCELLED and late >= timedelta():
            LATENESS.observe(late.total_seconds())
