"""Finds the shop that runs in a directory, by the state file that `make run-all` writes.

`save` in agents/ops/local/deployment.py writes `RUN_DIR/shop.json` for processes, and
`RUN_DIR/compose/shop.json` for containers. This module needs only Python.
"""

import json
import os
import socket
import subprocess
import tempfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

_MAX_SOCKET_PATH_BYTES = 90  # the kernel's limit is 108; supervisord appends to it
_ENGINE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class RunningShop:
    """A running shop, with the data that clients of its Kafka need.

    Attributes:
        directory: the directory of the state file.
        kafka: host:port of its brokers, separated by commas.
        partitions: of each request topic.
        own_broker: whether the shop started the broker, which then has no security.
        security: the names of the security settings of the shop.
    """

    directory: Path
    kafka: str
    partitions: int
    own_broker: bool
    security: frozenset[str]


def run_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the directory of the shop: `RUN_DIR`, or `.run` in the repository."""
    directory = environment.get("RUN_DIR")
    return Path(directory).resolve() if directory else REPOSITORY / ".run"


def running_shop(directory: Path) -> RunningShop | None:
    """Return the running shop of a directory; None without one."""
    if (shop := _saved(directory)) and supervisor_answers(socket_path(directory)):
        return shop
    if (shop := _saved(directory / "compose")) and _containers_run():
        return shop
    return None


def socket_path(directory: Path) -> Path:
    """Return the socket of the supervisor of a directory."""
    path = directory / "supervisord.sock"
    if len(str(path).encode()) <= _MAX_SOCKET_PATH_BYTES:
        return path
    short = Path(tempfile.gettempdir()) / f"shop-{os.getuid()}"
    return short / f"{zlib.crc32(str(directory).encode()):08x}.sock"


def supervisor_answers(path: Path) -> bool:
    """Return whether a supervisor accepts connections at a socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _saved(directory: Path) -> RunningShop | None:
    path = directory / "shop.json"
    if not path.exists():
        return None
    state = json.loads(path.read_text())
    shop = state["shop"]
    return RunningShop(
        directory,
        kafka=shop["kafka"] or f"127.0.0.1:{shop['kafka_port']}",
        partitions=shop["partitions"],
        own_broker=not shop["kafka"],
        security=frozenset(name for name in state["given"] if name.startswith("KAFKA_S")),
    )


def _containers_run() -> bool:
    with suppress(OSError, subprocess.SubprocessError):  # also without docker
        ids = subprocess.check_output(
            ["docker", "compose", "ps", "-q"],  # noqa: S607
            cwd=REPOSITORY,
            stderr=subprocess.DEVNULL,
            timeout=_ENGINE_SECONDS,
        )
        return bool(ids.strip())
    return False
