"""A gateway as people run it: a process of its own, told by its environment."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.component.door import PATIENCE_SECONDS, Door

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class GatewayProcess:
    """A running gateway, its door, and what it has said so far."""

    process: asyncio.subprocess.Process
    door: Door
    said: list[str]

    async def says(self, pattern: str) -> re.Match[str]:
        """Read its log until a line matches."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while line := (await self.process.stderr.readline()).decode():
                self.said.append(line)
                if match := re.search(pattern, line):
                    return match
        raise AssertionError(f"it never said {pattern}, but {''.join(self.said)}")

    async def ends(self) -> int:
        """Wait for its end and return its exit code."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            said, code = await asyncio.gather(
                self.process.stderr.read(), self.process.wait()
            )
        self.said += said.decode().splitlines()
        return code


async def start(kafka: str, ulimit: str = "", **environment: str) -> GatewayProcess:
    """Start `python -m gateway`, with the files that `ulimit` leaves to it."""
    limit = f"ulimit {ulimit} && " if ulimit else ""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'{limit} exec "$0" -m gateway', sys.executable),
        cwd=REPOSITORY,
        env={**os.environ, "GATEWAY_PORT": "0", "KAFKA": kafka, **environment},
        stderr=asyncio.subprocess.PIPE,
    )
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    return GatewayProcess(process, Door(session, 0), [])


@asynccontextmanager
async def running(
    kafka: str, ulimit: str = "", **environment: str
) -> AsyncIterator[GatewayProcess]:
    """Run a gateway that listens, and kill it in the end if it still runs."""
    gateway = await start(kafka, ulimit, **environment)
    try:
        listening = await gateway.says(r"event=listening .*port=(\d+)")
        gateway.door.port = int(listening[1])
        yield gateway
    finally:
        await gateway.door.session.close()
        if gateway.process.returncode is None:
            gateway.process.kill()
        await gateway.process.communicate()
