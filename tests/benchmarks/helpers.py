"""Python processes of a benchmark: floors, and replacements of workers."""

import asyncio
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.waiting import until


@dataclass(frozen=True)
class Running:
    """A process, and the file of its output."""

    pid: int
    log: Path


@asynccontextmanager
async def beside(*words: str) -> AsyncIterator[Running]:
    """Run `python -m …` within this context.

    Raises:
        RuntimeError: it ended before.
    """
    with tempfile.NamedTemporaryFile() as log:
        running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *words, stdout=log, stderr=log
        )
        try:
            yield Running(running.pid, Path(log.name))
        finally:
            lasted = running.returncode is None
            if lasted:
                running.terminate()
            await running.wait()
        if not lasted:
            log.seek(0)
            raise RuntimeError(f"{words} ended: {log.read()[-1000:].decode()}")


async def listens(port: int) -> None:
    """Wait until a process listens on a local port."""

    def look() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    await until(look, f"a process listens on {port}")


async def logged(log: Path, text: str, since: int = 0) -> None:
    """Wait until a text is in a log, behind its first bytes."""

    def look() -> bool:
        with log.open("rb") as file:
            file.seek(since)
            return text.encode() in file.read()

    await until(look, f"{text} in {log}")
