"""The shop that runs in a directory, found by the note that `make run-all` keeps there.

`save` in agents/ops/local/deployment.py writes the note: `RUN_DIR/shop.json` for processes,
`RUN_DIR/compose/shop.json` for containers. Needs Python alone.
"""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]

_LONGEST_SOCKET_PATH = 90  # the kernel's limit is 108, and supervisord adds to it
_ENGINE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class RunningShop:
    """A shop that runs, as clients of its Kafka need it.

    Attributes:
        directory: the directory of the note.
        kafka: host:port of its brokers, several separated by commas.
        partitions: of each request topic.
        own_broker: the broker was started with the shop, so it has no security.
        security: names of the security settings that the shop was started with.
    """

    directory: Path
    kafka: str
    partitions: int
    own_broker: bool
    security: frozenset[str]


def run_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the directory of the shop: `RUN_DIR`, or the one in the repository."""
    directory = environment.get("RUN_DIR")
    return Path(directory).resolve() if directory else REPOSITORY / ".run"


def running_shop(directory: Path) -> RunningShop | None:
    """Return the shop that runs in a directory; None if none does."""
    containers = directory / "compose"
    if (note := _note(directory)) and supervisor_answers(socket_path(directory)):
        return _read(directory, note)
    if (note := _note(containers)) and _containers_run():
        return _read(containers, note)
    return None


def socket_path(directory: Path) -> Path:
    """Return where the supervisor of a directory listens."""
    path = directory / "supervisord.sock"
    if len(str(path).encode()) <= _LONGEST_SOCKET_PATH:
        return path
    short = Path(tempfile.gettempdir()) / f"shop-{os.getuid()}"
    return short / f"{zlib.crc32(str(directory).encode()):08x}.sock"


def supervisor_answers(path: Path) -> bool:
    """Return whether a supervisor accepts connections there."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _note(directory: Path) -> dict[str, Any]:
    path = directory / "shop.json"
    note: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return note


def _read(directory: Path, note: dict[str, Any]) -> RunningShop:
    shop, given = note["shop"], note["given"]
    security = (name for name in given if name.startswith("KAFKA_S"))
    return RunningShop(
        directory,
        kafka=shop["kafka"] or f"127.0.0.1:{shop['kafka_port']}",
        partitions=shop["partitions"],
        own_broker=not shop["kafka"],
        security=frozenset(security),
    )


def _containers_run() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        ran = subprocess.run(
            ["docker", "compose", "ps", "-q"],  # noqa: S607
            cwd=REPOSITORY,
            capture_output=True,
            timeout=_ENGINE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return ran.returncode == 0 and bool(ran.stdout.strip())
