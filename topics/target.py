"""Which cluster a tool works on: one rule for all tools, and for what `make` runs.

It is the cluster of the shop that runs in the directory (`RUN_DIR`). Without such a shop it
is the cluster of `KAFKA`. Without both there is none, and the tool ends.

`save` in agents/ops/local/deployment.py writes the state file of a running shop:
`RUN_DIR/shop.json` for processes, and `RUN_DIR/compose/shop.json` for containers.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TextIO

from topics.kafka.settings import KafkaSettings

_REPOSITORY = Path(__file__).resolve().parents[1]
_MAX_SOCKET_PATH_BYTES = 90  # the kernel's limit is 108; supervisord appends to it
_ENGINE_SECONDS = 5.0

_NO_SECURITY: dict[str, object] = {
    "kafka_security_protocol": "PLAINTEXT",
    "kafka_sasl_username": None,
    "kafka_sasl_password": None,
}


class NoClusterError(Exception):
    """There is no cluster to work on; the message gives the reason in one line."""


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


@dataclass
class Target:
    """The cluster that a tool works on, chosen and printed at its first use.

    Attributes:
        tool: the name that begins the line.
        out: where the line is printed; by default standard error, so that standard output
            stays parseable.
    """

    tool: str
    out: TextIO | None = None

    @cached_property
    def cluster(self) -> KafkaSettings:
        """The cluster, as `choose` returns it."""
        cluster, origin = choose()
        out = self.out or sys.stderr
        print(f"{self.tool}: Kafka at {cluster.kafka}, {origin}", file=out, flush=True)
        return cluster


def choose() -> tuple[KafkaSettings, str]:
    """Return the cluster to work on, and a phrase about its origin.

    Raises:
        NoClusterError: no shop runs here, and `KAFKA` is not set.
        pydantic.ValidationError: a setting is invalid.
    """
    given, directory = KafkaSettings(), run_directory()
    shop = running_shop(directory)
    if shop is None:
        if "kafka" in given.model_fields_set:
            return given, "the cluster of KAFKA"
        raise NoClusterError(
            f"the shop of {directory} does not run, and KAFKA is not set:"
            " make run-all, or KAFKA=host:port"
        )
    has_login = shop.own_broker or "kafka_security_protocol" in given.model_fields_set
    if "KAFKA_SECURITY_PROTOCOL" in shop.security and not has_login:
        names = ", ".join(sorted(shop.security))
        raise NoClusterError(
            f"the shop of {shop.directory} was started with {names}: set them here, too"
        )
    taken = {"kafka": shop.kafka, "partitions": shop.partitions}
    ignored = ", ".join(
        f"{name.upper()}={getattr(given, name)}"
        for name in taken
        if name in given.model_fields_set and getattr(given, name) != taken[name]
    )
    cluster = given.model_copy(update=taken | (_NO_SECURITY if shop.own_broker else {}))
    origin = f"the cluster of the shop in {shop.directory}"
    return cluster, f"{origin} (ignored: {ignored})" if ignored else origin


def partitions() -> int:
    """Return the partitions of a request topic: the running shop's, else the setting."""
    return (running_shop(run_directory()) or KafkaSettings()).partitions


def run_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the directory of the shop: `RUN_DIR`, or `.run` in the repository."""
    directory = environment.get("RUN_DIR")
    return Path(directory).resolve() if directory else _REPOSITORY / ".run"


def running_shop(directory: Path) -> RunningShop | None:
    """Return the running shop of a directory; None without one."""
    if (shop := _saved(directory)) and supervisor_answers(socket_path(directory)):
        return shop
    if (shop := _saved(directory / "compose")) and _containers_run():
        return shop
    return None


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


def _containers_run() -> bool:
    with suppress(OSError, subprocess.SubprocessError):  # also without docker
        ids = subprocess.check_output(
            ["docker", "compose", "ps", "-q"],  # noqa: S607
            cwd=_REPOSITORY,
            stderr=subprocess.DEVNULL,
            timeout=_ENGINE_SECONDS,
        )
        return bool(ids.strip())
    return False
