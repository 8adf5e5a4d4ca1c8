"""The embedded broker as a child process of the tests."""

import asyncio
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from agents.ops.local.deployment import REPOSITORY
from topics.broker.java import CannotRunError
from topics.broker.process import is_free
from topics.kafka import compat

START_SECONDS = 240.0
STOP_SECONDS = 20.0
_PROBE_SECONDS = 0.2
_PORTS_FROM, _PORTS_TO = 20_000, 32_000


def free_port() -> int:
    """Return a free port whose successor is free, too."""
    while True:
        port = random.randrange(_PORTS_FROM, _PORTS_TO, 2)
        if is_free(port) and is_free(port + 1):
            return port


@dataclass
class EmbeddedKafka:
    """A broker and its process; another one with the same directory has the same data.

    Attributes:
        port: of clients, on 127.0.0.1; the controller has the next one.
        environment: variables of the process, such as `KAFKA_HEAP`.
    """

    directory: Path
    port: int = field(default_factory=free_port)
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """The address for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """The log file of the broker."""
        return self.directory / "kafka.log"

    def start(self) -> None:
        """Start the process; it serves when `ready` has returned."""
        self.directory.mkdir(parents=True, exist_ok=True)
        own = ("--dir", str(self.directory), "--port", str(self.port))
        environment = {**os.environ, **self.environment}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                (sys.executable, "-m", "topics.broker", "run", *own),
                cwd=REPOSITORY,
                env=environment,
                stdout=log,
                stderr=log,
            )

    async def ready(self, within: float = START_SECONDS) -> None:
        """Wait until the broker responds; the first start may fetch the jars.

        Raises:
            CannotRunError: the broker exited, or the time is over; with the end of its log.
        """
        deadline = time.monotonic() + within
        while not (self._listens() and await answers(self.bootstrap)):
            exited = self.process is None or self.process.poll() is not None
            if exited or time.monotonic() > deadline:
                failure = "exited" if exited else f"was not ready within {within:.0f} s"
                lines = self.log.read_text(errors="replace").strip().splitlines()
                raise CannotRunError(f"the broker {failure}: {' / '.join(lines[-3:])}")
            await asyncio.sleep(_PROBE_SECONDS)

    def __enter__(self) -> Self:
        try:
            self.start_and_wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start_and_wait(self) -> None:
        """Start the broker and wait, without a running event loop."""
        self.start()
        asyncio.run(self.ready())

    def stop(self) -> None:
        """Stop the process by SIGTERM, and wait for its end; kill it after a while."""
        if self.process:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
            self.kill()

    def kill(self) -> None:
        """Kill the process by SIGKILL, and wait for its end."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def _listens(self) -> bool:
        # Avoids a log line of aiokafka for each attempt at a closed port.
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


async def answers(
    bootstrap_servers: str | list[str],
    brokers: int = 1,
    **security: Any,
) -> bool:
    """Return whether a cluster responds, with at least so many brokers."""
    compat.apply()
    admin = AIOKafkaAdminClient(
        bootstrap_servers=bootstrap_servers, request_timeout_ms=3000, **security
    )
    try:
        await admin.start()
        return len((await admin.describe_cluster())["brokers"]) >= brokers
    except (KafkaError, OSError):
        return False
    finally:
        await admin.close()
