"""A worker that was frozen stops, if it may have been replaced meanwhile."""

import asyncio
import faulthandler
import subprocess
import sys
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


def test_a_member_whose_loop_is_blocked_ends_with_its_stacks():
    code = """
import asyncio, time
from datetime import timedelta
from agents.runtime import fail_stop

async def work():
    monitor = fail_stop.PauseMonitor(timedelta(hours=1))
    monitor.arm()
    watching = asyncio.create_task(monitor.run())
    await asyncio.sleep(0.2)  # it is watched
    block()

def block():
    time.sleep(60)

fail_stop.BLOCKED = timedelta(seconds=0.5)
asyncio.run(work())
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert ended.returncode == 1
    assert "in block" in ended.stderr


async def test_a_worker_that_stops_is_watched_no_more(monkeypatch: pytest.MonkeyPatch):
    calls: list[str] = []
    later, cancel = "dump_traceback_later", "cancel_dump_traceback_later"
    monkeypatch.setattr(faulthandler, later, lambda *_, **__: calls.append("watched"))
    monkeypatch.setattr(faulthandler, cancel, lambda: calls.append("not watched"))
    monitor = PauseMonitor(NEVER_FROZEN)
    monitor.arm()
    watching = asyncio.create_task(monitor.run())
    await asyncio.sleep(0)
    watching.cancel()
    await asyncio.wait([watching])

    assert calls == ["watched", "not watched"]
