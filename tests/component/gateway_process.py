"""A gateway as a process of its own, configured by its environment."""

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
# More than a flood of connections takes: the first one must not be replaced meanwhile.
KEEP_ALIVE_SECONDS = 60.0  # less than the gateway's


@dataclass
class GatewayProcess:
    """A running gateway, its door, and the lines that were read from its log."""

    process: asyncio.subprocess.Process
    door: Door
    log: list[str]

    async def logs(self, pattern: str) -> re.Match[str]:
        """Read the log until a line matches."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while line := (await self.process.stderr.readline()).decode():
                self.log.append(line)
                if match := re.search(pattern, line):
                    return match
        raise AssertionError(f"no line matches {pattern}: {''.join(self.log)}")

    async def exit_code(self) -> int:
        """Wait for the end of the process, and read the rest of its log."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            rest, code = await asyncio.gather(
                self.process.stderr.read(), self.process.wait()
            )
        self.log += rest.decode().splitlines()
        return code


async def start(kafka: str, ulimit: str = "", **environment: str) -> GatewayProcess:
    """Start `python -m gateway`, with a limit of open files by `ulimit`."""
    limit = f"ulimit {ulimit} && " if ulimit else ""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'{limit} exec "$0" -m gateway', sys.executable),
        cwd=REPOSITORY,
        env={**os.environ, "GATEWAY_PORT": "0", "KAFKA": kafka, **environment},
        stderr=asyncio.subprocess.PIPE,
    )
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS)
    session = aiohttp.ClientSession(connector=connector)
    return GatewayProcess(process, Door(session, 0), [])


@asynccontextmanager
async def running(
    kafka: str, ulimit: str = "", **environment: str
) -> AsyncIterator[GatewayProcess]:
    """Run a gateway that listens; kill it in the end if it still runs."""
    gateway = await start(kafka, ulimit, **environment)
    try:
        listening = await gateway.logs(r"event=listening .*port=(\d+)")
        gateway.door.port = int(listening[1])
        yield gateway
    finally:
        await gateway.door.session.close()
        if gateway.process.returncode is None:
            gateway.process.kill()
        await gateway.process.communicate()
