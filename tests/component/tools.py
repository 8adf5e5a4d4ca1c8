"""Tools of whoever runs the shop, run as he runs them."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from topics.cluster import Cluster

WITHIN_SECONDS = 90.0

Process = asyncio.subprocess.Process
Ended = tuple[int, bytes, str]


@asynccontextmanager
async def begun(cluster: Cluster, *words: str, **pipes: int) -> AsyncIterator[Process]:
    """Begin a tool; it is over in the end, by force if need be."""
    own = {"KAFKA": cluster.kafka, "PARTITIONS": str(cluster.partitions)}
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), asyncio.subprocess.PIPE)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agents", *words),
        env=os.environ | own,
        **streams | pipes,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def end(process: Process) -> Ended:
    """Wait for a tool's end; return its exit code and what it said."""
    async with asyncio.timeout(WITHIN_SECONDS):
        out, err = await process.communicate()
    assert b"Traceback" not in err, err.decode()
    return process.returncode, out, err.decode()


async def run(cluster: Cluster, *words: str) -> Ended:
    """Run a tool to its end."""
    async with begun(cluster, *words) as process:
        return await end(process)
