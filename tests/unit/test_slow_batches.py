"""Batches that stay in flight are logged: after ten seconds, and then once a minute."""

from types import SimpleNamespace

import pytest
from faust.types import TP

from agents.runtime import in_flight
from agents.runtime.in_flight import PartitionRecords, log_slow, oldest

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

    (found,) = oldest(read.values())

    assert (found.tp, found.records[0].offset, found.seconds) == (ONE, 7, 7.0)


def test_a_batch_has_the_time_when_it_was_read(clock: Clock):
    del clock
    assert PartitionRecords(ONE, []).began > 0


def test_a_slow_batch_is_logged_after_ten_seconds_and_once_a_minute(
    clock: Clock, caplog: pytest.LogCaptureFixture
):
    read = [batch(clock, ONE, 7)]
    logged_at = []
    for second in range(151):
        clock.now = 1000.0 + second
        log_slow(read, None)
        if caplog.messages:
            logged_at.append(second)
            caplog.clear()

    assert logged_at == [10, 70, 130]


def test_the_line_has_the_batch_its_age_and_the_partition_that_waits(
    clock: Clock, caplog: pytest.LogCaptureFixture
):
    slow = batch(clock, ONE, 7)
    clock.now += 2.4
    new = batch(clock, OTHER, 1)
    clock.now += 9.9
    log_slow([slow, new], OTHER)

    line = "event=batch-slow topic=order.requests partition=1 offset=7 seconds=12"
    assert caplog.messages == [f"{line} waiting=order.requests-2"]


def test_each_batch_of_a_partition_is_logged(
    clock: Clock, caplog: pytest.LogCaptureFixture
):
    seven, eight = batch(clock, ONE, 7), batch(clock, ONE, 8)
    clock.now += 11
    for slow in (seven, eight, eight):
        log_slow([slow], None)

    assert [line.split()[3] for line in caplog.messages] == ["offset=7", "offset=8"]
