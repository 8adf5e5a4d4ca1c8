"""Dying at once: what a worker does that can't be sure of itself (design: R3, R4)."""

import asyncio
import logging
import os
import sys
import time
from datetime import timedelta
from typing import NoReturn

EXIT_CODE = 70
CHECK_INTERVAL = timedelta(seconds=0.1)

log = logging.getLogger(__name__)


def fail_stop(reason: str, *args: object) -> NoReturn:
    """End the process now, without cleaning up; the supervisor starts the next one.

    Nothing that is not acknowledged yet is committed, and the local state is not marked
    as clean, so the next worker begins from what the brokers have.
    """
    log.critical("fail-stop: %s", reason % args)
    logging.shutdown()
    sys.stderr.flush()
    os._exit(EXIT_CODE)


class PauseMonitor:
    """Notices that the process was frozen: it may have been replaced meanwhile.

    A worker that is in no group yet can't have been: a slow start is no reason to die, and
    to start again on a machine that is slow already.

    Args:
        limit: the longest pause after which the worker may still be a group's member:
            less than its session timeout, by a few heartbeats.
    """

    def __init__(self, limit: timedelta) -> None:
        self._limit = limit.total_seconds()
        self._last = time.monotonic()
        self._member = False

    def arm(self) -> None:
        """Begin to mind: from now on the worker has partitions that it can lose."""
        self._last = time.monotonic()
        self._member = True

    def check(self) -> None:
        """Die if the last beat is too long ago; to be called before anything is said."""
        asleep = time.monotonic() - self._last
        if self._member and asleep > self._limit:
            fail_stop("frozen for %.1f s, and maybe replaced meanwhile", asleep)

    async def run(self) -> None:
        """Beat for ever, from now on."""
        self._last = time.monotonic()
        while True:
            self.check()
            self._last = time.monotonic()
            await asyncio.sleep(CHECK_INTERVAL.total_seconds())
