"""Batches that stay in flight are logged: after ten seconds, and then once a minute."""

from types import SimpleNamespace

import pytest
from faust.types import TP

from agents.runtime import in_flight
from agents.runtime.in_flight import InFlight, PartitionRecords, SlowBatchLog, oldest

ONE, OTHER = TP("order.requests", 1), TP("order.requests", 2)


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(in_flight, "monotonic", clock)
    return clock


def batch(clock: Clock, tp: TP, offset: int, *, acknowledged: bool = False):
    record = SimpleNamespace(offset=offset)
    return PartitionRecords(tp, [record], acknowledged, began=clock())


def test_the_oldest_batch_of_a_partition_is_its_first_unacknowledged_one(clock: Clock):
    read = {
        ONE: [batch(clock, ONE, 5, acknowledged=True), batch(clock, ONE, 7)],
        OTHER: [batch(clock, OTHER, 3, acknowledged=True)],
    }
    clock.now += 4
    read[ONE].append(batch(clock, ONE, 8))
    clock.now += 3

    assert list(oldest(read)) == [InFlight(ONE, 7, 7.0)]


def test_a_batch_knows_when_it_was_read(clock: Clock):
    del clock
    assert PartitionRecords(ONE, []).began > 0


def test_a_slow_batch_is_logged_after_ten_seconds_and_once_a_minute(
    clock: Clock, caplog: pytest.LogCaptureFixture
):
    slow, read = SlowBatchLog(), {ONE: [batch(clock, ONE, 7)]}
    logged_at = []
    for second in range(151):
        clock.now = 1000.0 + second
        slow.update(oldest(read), None)
        if caplog.messages:
            logged_at.append(second)
            caplog.clear()

    assert logged_at == [10, 70, 130]


def test_the_line_has_the_batch_its_age_and_the_partition_that_waits(
    caplog: pytest.LogCaptureFixture,
):
    SlowBatchLog().update([InFlight(ONE, 7, 12.3), InFlight(OTHER, 1, 9.9)], OTHER)

    line = "event=batch-slow topic=order.requests partition=1 offset=7 seconds=12"
    assert caplog.messages == [f"{line} waiting=order.requests-2"]


def test_the_next_batch_of_the_partition_is_logged_anew(caplog: pytest.LogCaptureFixture):
    slow = SlowBatchLog()
    for offset in (7, 8, 8):
        slow.update([InFlight(ONE, offset, 11.0)], None)

    assert [line.split()[3] for line in caplog.messages] == ["offset=7", "offset=8"]
