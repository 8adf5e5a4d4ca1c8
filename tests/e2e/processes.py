"""Supervised processes: one that ends is started again, as in production."""

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

# The tests' environment may have settings of another shop.
_NEUTRAL = {
    name: value for name, value in os.environ.items() if name not in settings(os.environ)
}


class Unit:
    """A process of the shop with its supervisor.

    Args:
        process: its command and environment.
        log: the file of its output.

    Attributes:
        starts: the number of its starts.
        expected: the number of starts that the test caused.
        code: the root of the repository with its code, from the next start on.
    """

    def __init__(self, process: Process, log: Path) -> None:
        self.process = process
        self.name = process.name
        self.log = log
        log.touch()
        self.starts = 0
        self.expected = 0
        self.code = REPOSITORY
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._different: dict[str, str] = {}

    @property
    def runs(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def state_dir(self) -> Path:
        """The directory of a worker's local rows."""
        return Path(self.process.environment["STATE_DIR"])

    def start(self, **different: str) -> None:
        """Start the process, with a changed environment if given."""
        assert self._supervisor is None, f"{self.name} runs already"
        self._different = different
        self.expected += 1
        self._supervisor = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Stop the process as an operator does; check its exit code and its duration."""
        self.stop_supervisor()
        if not self.runs:
            return
        ends = self._good_ends()
        self._process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                status = await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            raise
        assert status in ends, f"{self.name} ended with {status}"

    async def restart(self, **different: str) -> None:
        """Stop and start the process, with a changed environment if given."""
        await self.stop()
        self.start(**different)

    async def crash(self, *, permanently: bool = False) -> None:
        """Kill the process (kill -9) and wait for its end; the supervisor restarts it."""
        victim = self._process
        if permanently:
            self.stop_supervisor()
        else:
            self.expected += 1
        victim.send_signal(signal.SIGKILL)
        await victim.wait()

    def freeze(self) -> None:
        """Freeze the process (SIGSTOP)."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue the process (SIGCONT)."""
        self._process.send_signal(signal.SIGCONT)

    def log_tail(self) -> str:
        """Return the last lines of its output, with the reason of its end."""
        lines = self.log.read_text(errors="replace").splitlines()
        reasons = [line for line in lines if "fail-stop" in line]
        return "\n".join([*reasons[-3:], "...", *lines[-_LAST_LINES:]])

    async def _keep(self) -> None:
        pause = 0.0
        while True:
            began = time.monotonic()
            await self._run()
            # As supervisord does: the pause between failed starts grows.
            came_up = time.monotonic() - began > _UP_SECONDS
            pause = 0.0 if came_up else min(pause + 1, _LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)

    async def _run(self) -> None:
        environment = {**_NEUTRAL, **self.process.environment, **self._different}
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.process.command,
                cwd=self.code,
                env=environment,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
            )
        self.starts += 1
        await self._process.wait()

    def _good_ends(self) -> tuple[int, ...]:
        """Return the exit codes for SIGTERM; Python has no handler while it starts."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        has_handler = caught >> (signal.SIGTERM - 1) & 1
        codes = (0, _JAVA_TERMINATED)
        return codes if has_handler else (*codes, -signal.SIGTERM)

    def stop_supervisor(self) -> None:
        """Stop the supervisor."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            self._supervisor = None
