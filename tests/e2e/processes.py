"""Processes that are kept alive as production keeps them: what ends is started again."""

import asyncio
import os
import signal
import time
from pathlib import Path

from agents.ops.local.deployment import REPOSITORY, settings
from agents.ops.local.processes import Process

STOP_SECONDS = 20.0
_JAVA_TERMINATED = 143
_UP_SECONDS = 3.0
_LONGEST_PAUSE_SECONDS = 4.0
_LAST_LINES = 12

# What the environment of whoever runs the tests says about a shop is not about this one.
_NEUTRAL = {
    name: value for name, value in os.environ.items() if name not in settings(os.environ)
}


class Unit:
    """One process of the shop, and whoever starts it again.

    Args:
        what: the process.
        log: where it writes what it says.

    Attributes:
        starts: how often it was started.
        expected: how often of those because a test wanted it.
        code: the root of the repository whose code it runs, from its next start on.
    """

    def __init__(self, what: Process, log: Path) -> None:
        self.what = what
        self.name = what.name
        self.log = log
        log.touch()
        self.starts = 0
        self.expected = 0
        self.code = REPOSITORY
        self._began = 0.0
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._different: dict[str, str] = {}

    @property
    def runs(self) -> bool:
        """Whether there is a process now."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def state_dir(self) -> Path:
        """Where a worker keeps its local rows."""
        return Path(self.what.environment["STATE_DIR"])

    def start(self, **different: str) -> None:
        """Start the process, with what is different in its environment this time."""
        assert self._keeper is None, f"{self.name} runs already"
        self._different = different
        self.expected += 1
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Stop it as an operator would; it stays down, and has ended well and in time."""
        self.dismiss_keeper()
        if not self.runs:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                status = await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            raise
        assert status in self._good_ends(), f"{self.name} ended with {status}"

    async def restart(self, **different: str) -> None:
        """Stop it and start it, with a changed environment perhaps."""
        await self.stop()
        self.start(**different)

    async def crash(self, *, for_good: bool = False) -> None:
        """Kill it without warning (kill -9) and see it dead; it is started again."""
        victim = self._process
        if for_good:
            self.dismiss_keeper()
        else:
            self.expected += 1
        victim.send_signal(signal.SIGKILL)
        await victim.wait()

    def freeze(self) -> None:
        """Stop its time (SIGSTOP); it stays a process."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let its time go on (SIGCONT)."""
        self._process.send_signal(signal.SIGCONT)

    def last_words(self) -> str:
        """What it said last, above all why it gave up."""
        lines = self.log.read_text(errors="replace").splitlines()
        reasons = [line for line in lines if "fail-stop" in line]
        return "\n".join([*reasons[-3:], "...", *lines[-_LAST_LINES:]])

    async def _keep(self) -> None:
        pause = 0.0
        while True:
            self._began = time.monotonic()
            await self._run()
            # As supervisord does it: whoever does not come up is tried ever less often.
            came_up = time.monotonic() - self._began > _UP_SECONDS
            pause = 0.0 if came_up else min(pause + 1, _LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)

    async def _run(self) -> None:
        environment = {**_NEUTRAL, **self.what.environment, **self._different}
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.what.command,
                cwd=self.code,
                env=environment,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
            )
        self.starts += 1
        await self._process.wait()

    def _good_ends(self) -> tuple[int, ...]:
        """How it may end when told to; while it comes up, Python does not listen yet."""
        came_up = time.monotonic() - self._began > _UP_SECONDS
        return (0, _JAVA_TERMINATED) if came_up else (0, _JAVA_TERMINATED, -signal.SIGTERM)

    def dismiss_keeper(self) -> None:
        """Let nobody start it again."""
        if self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None
