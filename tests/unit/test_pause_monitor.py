"""A worker that was frozen stops, if it may have been replaced meanwhile."""

from datetime import timedelta

import pytest

from agents.runtime import fail_stop
from agents.runtime.fail_stop import PauseMonitor

NEVER_FROZEN = timedelta(hours=1)
FROZEN = timedelta(0)


@pytest.fixture
def deaths(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The reasons of its fail-stops."""
    reasons: list[str] = []
    monkeypatch.setattr(fail_stop, "fail_stop", lambda reason, *_: reasons.append(reason))
    return reasons


def test_a_group_member_that_was_frozen_stops(deaths: list[str]):
    monitor = PauseMonitor(FROZEN)
    monitor.arm()

    monitor.check()

    assert len(deaths) == 1


def test_a_worker_that_starts_slowly_keeps_running(deaths: list[str]):
    monitor = PauseMonitor(FROZEN)

    monitor.check()

    assert not deaths


def test_a_member_that_was_not_frozen_keeps_running(deaths: list[str]):
    monitor = PauseMonitor(NEVER_FROZEN)
    monitor.arm()

    monitor.check()

    assert not deaths
