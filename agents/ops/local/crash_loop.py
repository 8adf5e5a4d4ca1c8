"""Noticing early that a process will not come up, and saying why."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

from agents.ops.local.deployment import ShopError
from agents.ops.local.supervision import Supervisor

T = TypeVar("T")

_HOPELESS_STARTS = 4
_LAST_LINES = 15
_LOOK_SECONDS = 0.2


class CrashLoopDetector:
    """Looks at the processes of a shop while something waits for them."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._starts: dict[str, set[int]] = defaultdict(set)

    async def guard(self, work: Coroutine[None, None, T]) -> T:
        """Wait for some work, but no longer than there is hope.

        Raises:
            ShopError: a process was given up, or died again and again.
        """
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait({task}, timeout=_LOOK_SECONDS))[0]:
                await asyncio.to_thread(self.look)
        finally:
            task.cancel()
        return task.result()

    async def until_all_run(self) -> None:
        """Wait until the supervisor, too, believes that every process has come up."""
        while not self._all_run():  # noqa: ASYNC110 - supervisord tells nobody
            await asyncio.sleep(_LOOK_SECONDS)

    def _all_run(self) -> bool:
        return all(one.state == "RUNNING" for one in self._supervisor.statuses())

    def look(self) -> None:
        """Look once.

        Raises:
            ShopError: see `over`; with the last lines of the process' log.
        """
        for status in self._supervisor.statuses():
            starts = self._starts[status.name] | {status.started} - {0}
            self._starts[status.name] = starts
            dying = len(starts) >= _HOPELESS_STARTS
            if status.state == "FATAL" or dying:
                log = self._supervisor.log(status.name)
                raise ShopError(f"{status.name} does not come up: {_end_of(log)}")


def _end_of(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join([f"the end of {log}:", *lines[-_LAST_LINES:]])
