"""Detects processes that crash repeatedly during a start."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

from agents.ops.local.deployment import ShopError
from agents.ops.local.supervision import Supervisor

T = TypeVar("T")

_MAX_STARTS = 4
_LAST_LINES = 15
_POLL_SECONDS = 0.2


class CrashLoopDetector:
    """Checks the processes of a shop while a start waits for them."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._starts: dict[str, set[int]] = defaultdict(set)

    async def guard(self, work: Coroutine[None, None, T]) -> T:
        """Wait for some work, unless a process crashes repeatedly.

        Raises:
            ShopError: supervisord gave a process up, or a process crashed repeatedly.
        """
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait({task}, timeout=_POLL_SECONDS))[0]:
                await asyncio.to_thread(self.check)
        finally:
            task.cancel()
        return task.result()

    async def until_all_run(self) -> None:
        """Wait until supervisord reports all processes as running."""
        while not self._all_run():  # noqa: ASYNC110 - supervisord has no event
            await asyncio.sleep(_POLL_SECONDS)

    def _all_run(self) -> bool:
        return all(status.state == "RUNNING" for status in self._supervisor.statuses())

    def check(self) -> None:
        """Check each process once.

        Raises:
            ShopError: as in `guard`, with the last lines of the process' log.
        """
        for status in self._supervisor.statuses():
            starts = self._starts[status.name] | {status.started} - {0}
            self._starts[status.name] = starts
            is_crashing = len(starts) >= _MAX_STARTS
            if status.state == "FATAL" or is_crashing:
                log = self._supervisor.log(status.name)
                raise ShopError(f"{status.name} does not come up: {_tail(log)}")


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join([f"the end of {log}:", *lines[-_LAST_LINES:]])
