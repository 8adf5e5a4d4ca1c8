"""The configuration of one shop: its directory, its ports, its numbers of processes.

All settings of all services are validated here before a start, while the old shop still
runs.
"""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_settings import BaseSettings

from agents.settings import LomsSettings, NotificationSettings, ProductSettings
from agents.worker.settings import WorkerSettings
from topics.broker.process import FIRST_EPHEMERAL_PORT
from topics.cli import CommandError
from topics.target import run_directory

REPOSITORY = Path(__file__).resolve().parents[3]

_STATE_FILE = "shop.json"
PARTITIONS_FILE = "marks/partitions"
"""Has the number of partitions after `make repartition`, also while the shop is stopped."""

_MOST_WORKERS = 64

# The counts that `make scale` changes.
COUNTS = ("gateways", "checkout_workers", "loms_workers")

# Clients on this machine connect to these instead of a wildcard address.
_WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104

_Port = Annotated[int, Field(ge=1, lt=FIRST_EPHEMERAL_PORT)]
_Count = Annotated[int, Field(ge=1, le=_MOST_WORKERS)]
_MetricsPort = Annotated[int, Field(ge=0, lt=FIRST_EPHEMERAL_PORT - 2 * _MOST_WORKERS - 2)]


@dataclass(frozen=True)
class Deployment:
    """One shop; another shop on this machine needs its own directory and ports.

    The environment has each field under its name in capitals, the directory as `RUN_DIR`.

    Attributes:
        directory: of its state, logs and sockets.
        kafka: an existing cluster; empty: an embedded broker.
        kafka_port: of the embedded broker; its controller has the next one.
        gateway_port: of the first gateway; the others have the next ones.
        kafka_ui_port: reserved for `make kafka-ui`.
        product_service: host:port; empty: the stand-in at `product_port`.
        metrics_port: of the first worker; the others have the next ones. 0: none.
        session_timeout_seconds: of the workers; empty: the shortest that brokers allow.
    """

    directory: Path = REPOSITORY / ".run"
    kafka: str = ""
    kafka_port: _Port = 9092
    gateway_port: _Port = 8080
    gateway_host: str = ""
    gateway_tls_cert: str = ""
    kafka_ui_port: _Port = 8088
    product_service: str = ""
    product_port: _Port = 8082
    metrics_port: _MetricsPort = 9180
    partitions: Annotated[int, Field(ge=1, le=1024)] = 8
    gateways: _Count = 1
    checkout_workers: _Count = 1
    loms_workers: _Count = 1
    session_timeout_seconds: str = ""

    @property
    def bootstrap(self) -> str:
        """The address of Kafka, for clients."""
        return self.kafka or f"127.0.0.1:{self.kafka_port}"

    @property
    def gateway_ports(self) -> list[int]:
        """A port for each gateway."""
        others = {self.kafka_port, self.kafka_port + 1, self.product_port}
        taken = others | {self.kafka_ui_port}
        free = (port for port in count(self.gateway_port) if port not in taken)
        return [next(free) for _ in range(self.gateways)]

    @property
    def gateway_scheme(self) -> str:
        """The scheme of the gateways' addresses."""
        return "https" if self.gateway_tls_cert else "http"

    @property
    def gateway_urls(self) -> list[str]:
        """An address for each gateway, for clients on this machine."""
        host = _WILDCARDS.get(self.gateway_host, self.gateway_host)
        name = f"[{host}]" if ":" in host else host
        return [f"{self.gateway_scheme}://{name}:{port}" for port in self.gateway_ports]

    @property
    def ports(self) -> dict[int, str]:
        """The ports of the shop, each with its environment variable."""
        ports = dict.fromkeys(self.gateway_ports, "GATEWAY_PORT")
        if not self.kafka:
            ports |= dict.fromkeys((self.kafka_port, self.kafka_port + 1), "KAFKA_PORT")
        if not self.product_service:
            ports[self.product_port] = "PRODUCT_PORT"
        return ports

    def scaled(self, environment: Mapping[str, str]) -> "Deployment":
        """Return the shop with the counts that the environment names."""
        given = _given(environment)
        return _checked(asdict(self) | {n: given[n] for n in COUNTS if n in given})


_SERVICES: tuple[type[BaseSettings], ...] = (
    WorkerSettings,
    LomsSettings,
    ProductSettings,
    NotificationSettings,
)

# Agents can't import the gateway; a test compares these with its settings.
_GATEWAY = {"GATEWAY_TLS_KEY", "GATEWAY_TOKENS", "MAX_IN_FLIGHT", "REPLY_TIMEOUT_SECONDS"}
_BROKER = {"KAFKA_HEAP", "KAFKA_JVM_OPTIONS", "KAFKA_USERS"}
_SHARED = {name for kind in _SERVICES for name in kind.model_fields}
_SHARED |= {each.name for each in fields(Deployment)}
_SHARED -= {"worker", "state_dir", "directory", *COUNTS}

# A change of one of these, or of a variable of OpenTelemetry, restarts all processes.
_SETTINGS = {"LOG_FORMAT"} | _GATEWAY | _BROKER | {name.upper() for name in _SHARED}


def from_environment(environment: Mapping[str, str] = os.environ) -> Deployment:
    """Return the shop of the environment; empty variables count as unset."""
    directory = run_directory(environment)
    stored = directory / PARTITIONS_FILE
    default = {"partitions": stored.read_text()} if stored.exists() else {}
    return _checked(default | _given(environment) | {"directory": directory})


def validate_settings() -> None:
    """Validate the settings of all services in the environment."""
    errors: list[str] = []
    for kind in _SERVICES:
        try:
            kind()
        except ValidationError as invalid:
            errors += _reasons(invalid)
    if errors:
        raise CommandError(*dict.fromkeys(errors))
    output_of(sys.executable, "-m", "gateway", "check", failure="the gateway: ")


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are settings of a shop."""
    return {
        name: value
        for name, value in environment.items()
        if value and (name in _SETTINGS or name.startswith("OTEL_"))
    }


def digests(values: Mapping[str, str]) -> dict[str, str]:
    """Return a digest of each value: some are passwords, and changes show all the same."""
    return {name: sha256(value.encode()).hexdigest() for name, value in values.items()}


def save(shop: Deployment, given: Mapping[str, str]) -> None:
    """Save a running shop and its settings, readable by its owner only."""
    text = json.dumps({"shop": asdict(shop), "given": dict(given)}, default=str, indent=1)
    shop.directory.mkdir(parents=True, exist_ok=True)
    state = shop.directory / _STATE_FILE
    state.touch(mode=0o600)
    state.write_text(text)


def save_partitions(directory: Path, partitions: int) -> None:
    """Make a number of partitions the default of a shop's directory."""
    file = directory / PARTITIONS_FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(str(partitions))


def load(directory: Path) -> tuple[Deployment, dict[str, str]] | None:
    """Return the saved shop and its settings; None without one."""
    state = directory / _STATE_FILE
    if not state.exists():
        return None
    saved = json.loads(state.read_text())
    return Deployment(**saved["shop"] | {"directory": directory}), saved["given"]


def delete_state(directory: Path) -> None:
    """Remove the saved shop after its end."""
    (directory / _STATE_FILE).unlink(missing_ok=True)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the lock of a directory, which excludes other processes of this machine."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def output_of(
    *command: str,
    failure: str = "",
    cwd: Path = REPOSITORY,
    env: Mapping[str, str] = os.environ,
) -> str:
    """Return a command's standard output; a `CommandError` has its standard error."""
    ran = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise CommandError(*(failure + ran.stderr.strip()).split("\n"))
    return ran.stdout


def _given(environment: Mapping[str, str]) -> dict[str, object]:
    return {name.lower(): value for name, value in environment.items() if value}


def _checked(values: dict[str, object]) -> Deployment:
    try:
        return TypeAdapter(Deployment).validate_python(values)
    except ValidationError as invalid:
        raise CommandError(*_reasons(invalid)) from None


def _reasons(invalid: ValidationError) -> Iterator[str]:
    # The reasons must not repeat a value, which may be a password.
    for error in invalid.errors(include_input=False):
        name = ".".join(map(str, error["loc"])).upper()
        reason = error["msg"].removeprefix("Value error, ")
        yield f"{name}: {reason[:1].lower()}{reason[1:]}"
