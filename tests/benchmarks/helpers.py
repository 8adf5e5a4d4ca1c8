"""Python processes of a benchmark: floors, and replacements of workers."""

import asyncio
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.e2e.waiting import until


@asynccontextmanager
async def beside(*words: str) -> AsyncIterator[int]:
    """Run `python -m …` within this context; yield its process id.

    Raises:
        RuntimeError: it ended before.
    """
    with tempfile.TemporaryFile() as log:
        running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *words, stdout=log, stderr=log
        )
        try:
            yield running.pid
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
