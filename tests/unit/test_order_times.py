"""The durations of orders in the metrics."""

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import REGISTRY

from agents.loms.order import Order, StatusChange
from agents.loms.service import observe
from schemas.order import Status

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TIME_TO_PAY = timedelta(minutes=10)
NEW, AWAITING, PAID = Status.NEW, Status.AWAITING_PAYMENT, Status.PAID
CANCELLED, FAILED = Status.CANCELLED, Status.FAILED


def order(*steps: tuple[Status, float]) -> Order:
    """Return an order that took statuses, so many seconds after noon."""
    taken = (
        StatusChange(status, NOON + timedelta(seconds=at), "me") for status, at in steps
    )
    return Order(1, 7, "key", {1: 2}, tuple(taken))


def observed(metric: str) -> tuple[float, float]:
    """Return the count and the sum of a histogram."""
    parts = (REGISTRY.get_sample_value(metric + part) for part in ("_count", "_sum"))
    count, total = parts
    return count, total


@pytest.mark.parametrize(
    ("steps", "saga", "lateness"),
    [
        ([(NEW, 0)], None, None),
        ([(NEW, 0), (FAILED, 1)], None, None),
        ([(NEW, 0), (AWAITING, 0.25)], 0.25, None),
        ([(NEW, 0), (AWAITING, 1), (PAID, 700)], None, None),
        ([(NEW, 0), (AWAITING, 1), (CANCELLED, 600)], None, None),
        ([(NEW, 0), (AWAITING, 1), (CANCELLED, 601)], None, 0),
        ([(NEW, 0), (AWAITING, 1), (CANCELLED, 601.5)], None, 0.5),
        ([(NEW, 0), (CANCELLED, 900)], None, None),
    ],
)
def test_a_duration_is_observed_at_its_end(steps, saga, lateness):
    names = ("order_saga_duration_seconds", "order_timeout_lateness_seconds")
    before = [observed(name) for name in names]
    observe(order(*steps[:-1]) if steps[1:] else None, order(*steps), TIME_TO_PAY)
    after = [observed(name) for name in names]
    for old, new, expected in zip(before, after, (saga, lateness), strict=True):
        count, total = new[0] - old[0], new[1] - old[1]
        assert count == (expected is not None)
        assert total == pytest.approx(expected or 0)
