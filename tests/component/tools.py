"""Runs operators' tools as processes."""

import asyncio
import os
import pty
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from topics.kafka.settings import KafkaSettings

WITHIN_SECONDS = 90.0
CLUSTER_LINE = re.compile(r"\A\w+: Kafka at \S+, the cluster of KAFKA\n")

Process = asyncio.subprocess.Process
Ended = tuple[int, bytes, str]


@asynccontextmanager
async def program(
    cluster: KafkaSettings, *words: str, **pipes: int
) -> AsyncIterator[Process]:
    """Start a program (python -m …); kill it at the end unless it has ended."""
    own = {"KAFKA": cluster.kafka, "PARTITIONS": str(cluster.partitions)}
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), asyncio.subprocess.PIPE)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *words),
        env=os.environ | own,
        **streams | pipes,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def begun(
    cluster: KafkaSettings, *words: str, **pipes: int
) -> AbstractAsyncContextManager[Process]:
    """Start a tool of `python -m agents`."""
    return program(cluster, "agents", *words, **pipes)


async def end(process: Process) -> Ended:
    """Wait for a tool's end; return its exit code and its output.

    The line about the cluster is left out: test_target checks it.
    """
    async with asyncio.timeout(WITHIN_SECONDS):
        out, err = await process.communicate()
    assert b"Traceback" not in err, err.decode()
    return process.returncode, out, CLUSTER_LINE.sub("", err.decode())


async def run(cluster: KafkaSettings, *words: str) -> Ended:
    """Run a tool to its end."""
    async with begun(cluster, *words) as process:
        return await end(process)


async def at_a_terminal(cluster: KafkaSettings, typed: bytes, *words: str) -> Ended:
    """Run a tool at a terminal with this input."""
    keyboard, terminal = pty.openpty()
    os.write(keyboard, typed)
    async with begun(cluster, *words, stdin=terminal) as process:
        ended = await end(process)
    os.close(keyboard)
    os.close(terminal)
    return ended
