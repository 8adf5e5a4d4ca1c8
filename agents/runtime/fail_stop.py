"""Fail-stop: a worker in doubt ends at once, and the next one recovers."""

import asyncio
import faulthandler
import logging
import os
import sys
import time
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, NoReturn

EXIT_CODE = 70
CHECK_INTERVAL = timedelta(seconds=0.1)

BLOCKED = timedelta(seconds=30)
"""A member whose event loop is blocked for so long ends, with the stacks of its threads in
the log: it would neither work nor end on SIGTERM."""

log = logging.getLogger(__name__)


def fail_stop(reason: str, *args: object) -> NoReturn:
    """End the process now, without cleanup; the supervisor starts the next one.

    No unacknowledged work is committed, and none is in the local state. So the next worker
    begins with the state on the brokers.
    """
    log.critical("event=fail-stop reason=%r", reason % args)
    logging.shutdown()
    sys.stderr.flush()
    os._exit(EXIT_CODE)


class BackgroundTasks(set[asyncio.Task[None]]):
    """The running tasks of one kind; an exception in one of them stops the worker."""

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine as a task, and keep it until it is done."""
        task = asyncio.create_task(work)
        self.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self.discard(task)
        if not task.cancelled() and task.exception() is not None:
            fail_stop("failed: %r", task)


class PauseMonitor:
    """Detects that the process was frozen: another worker may have replaced it.

    A worker outside of its group cannot have been replaced. So a slow start on a slow
    machine is no reason to stop.

    Args:
        limit: the longest pause of a group's member: less than the session timeout, by a
            few heartbeats.
    """

    def __init__(self, limit: timedelta) -> None:
        self._limit = limit.total_seconds()
        self._last = time.monotonic()
        self._armed = False

    def arm(self) -> None:
        """Begin to enforce the limit: the worker has partitions to lose."""
        self._last = time.monotonic()
        self._armed = True

    def check(self) -> None:
        """Stop the worker if it was frozen; to be called before any send."""
        paused = time.monotonic() - self._last
        if self._armed and paused > self._limit:
            fail_stop("frozen for %.1f s, and possibly replaced meanwhile", paused)

    async def run(self) -> None:
        """Check for ever."""
        self._last = time.monotonic()
        try:
            while True:
                self.check()
                self._last = time.monotonic()
                if self._armed:
                    faulthandler.dump_traceback_later(BLOCKED.total_seconds(), exit=True)
                await asyncio.sleep(CHECK_INTERVAL.total_seconds())
        finally:
            faulthandler.cancel_dump_traceback_later()
