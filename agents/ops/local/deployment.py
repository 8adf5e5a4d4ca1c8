"""The configuration of one shop: its directory, its ports, its numbers of processes."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path

from topics.running_shop import run_directory

REPOSITORY = Path(__file__).resolve().parents[3]

MOST_WORKERS = 64
_FIRST_EPHEMERAL_PORT = 32768

# The counts that `make scale` changes.
COUNTS = {
    "gateways": "GATEWAYS",
    "checkout_workers": "CHECKOUT_WORKERS",
    "loms_workers": "LOMS_WORKERS",
}

# Clients on this machine connect to these instead of a wildcard address.
_WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104

# A change of one of these restarts all processes.
_SETTING = re.compile(
    r"(KAFKA|NOTIFY|OTEL|PAYMENT|PRODUCT|REPLY|REQUEST|SESSION|SMTP|WEBHOOK)(_\w+)?"
    r"|GATEWAY_(HOST|PORT|TLS_CERT|TLS_KEY|TOKENS)"
    r"|LOG_FORMAT|MAX_IN_FLIGHT|METRICS_PORT|PARTITIONS"
)


class ShopError(Exception):
    """A command failed; the message gives the reason."""


@dataclass(frozen=True)
class Deployment:
    """One shop; another shop on this machine needs its own directory and ports.

    Attributes:
        directory: of its state, logs and sockets (`RUN_DIR`).
        kafka: an existing cluster (`KAFKA`); empty: an embedded broker.
        kafka_port: of the embedded broker; its controller has the next one.
        gateway_port: of the first gateway; the others have the next ones.
        gateway_host: their listen address (`GATEWAY_HOST`); empty: loopback.
        gateway_tls_cert: their certificate (`GATEWAY_TLS_CERT`); empty: none.
        kafka_ui_port: reserved for `make kafka-ui`.
        product_service: host:port (`PRODUCT_SERVICE`); empty: the stand-in.
        product_port: of the stand-in.
        metrics_port: of the first worker; the others have the next ones. 0: none.
        partitions: of each request topic.
        session_timeout: of the workers, seconds (`SESSION_TIMEOUT_SECONDS`); empty: the
            shortest that brokers allow.
    """

    directory: Path = REPOSITORY / ".run"
    kafka: str = ""
    kafka_port: int = 9092
    gateway_port: int = 8080
    gateway_host: str = ""
    gateway_tls_cert: str = ""
    kafka_ui_port: int = 8088
    product_service: str = ""
    product_port: int = 8082
    metrics_port: int = 9180
    partitions: int = 8
    gateways: int = 1
    checkout_workers: int = 1
    loms_workers: int = 1
    session_timeout: str = ""

    @property
    def bootstrap(self) -> str:
        """The address of Kafka, for clients."""
        return self.kafka or f"127.0.0.1:{self.kafka_port}"

    @property
    def session_timeout_seconds(self) -> str:
        """How long a silent worker keeps its partitions.

        The embedded broker allows 2 s, but a busy machine then loses workers. Other
        brokers mostly allow 6 s.
        """
        return self.session_timeout or ("6" if self.kafka else "3")

    @property
    def gateway_ports(self) -> list[int]:
        """A port for each gateway."""
        taken = {
            self.kafka_port,
            self.kafka_port + 1,
            self.product_port,
            self.kafka_ui_port,
        }
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

    def metrics_port_of(self, service: str, index: int) -> int:
        """Return a worker's port, which is independent of the other counts; 0: none."""
        place = {
            "products": 0,
            "notifications": 1,
            "loms": 2 + 2 * index,
            "checkout": 3 + 2 * index,
        }
        return self.metrics_port and self.metrics_port + place[service]

    def scaled(self, environment: Mapping[str, str]) -> "Deployment":
        """Return the shop with the counts that the environment names."""
        counts = dict(_numbers(COUNTS, environment, MOST_WORKERS))
        return replace(
            self,
            gateways=counts.get("gateways", self.gateways),
            checkout_workers=counts.get("checkout_workers", self.checkout_workers),
            loms_workers=counts.get("loms_workers", self.loms_workers),
        )


def from_environment(environment: Mapping[str, str] = os.environ) -> Deployment:
    """Return the shop of the environment; empty variables count as unset.

    Raises:
        ShopError: a number is invalid or out of range.
    """
    names = ("kafka_port", "gateway_port", "kafka_ui_port", "product_port")
    ports = {name: name.upper() for name in names}
    numbers = dict(_numbers(ports, environment, _FIRST_EPHEMERAL_PORT - 1))
    numbers |= _numbers({"partitions": "PARTITIONS"}, environment, 1024)
    last = _FIRST_EPHEMERAL_PORT - 2 * MOST_WORKERS - 3
    numbers |= _numbers({"metrics_port": "METRICS_PORT"}, environment, last, least=0)
    return Deployment(
        directory=run_directory(environment),
        kafka=environment.get("KAFKA", ""),
        gateway_host=environment.get("GATEWAY_HOST", ""),
        gateway_tls_cert=environment.get("GATEWAY_TLS_CERT", ""),
        product_service=environment.get("PRODUCT_SERVICE", ""),
        session_timeout=environment.get("SESSION_TIMEOUT_SECONDS", ""),
        **numbers,
    ).scaled(environment)


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are settings of a shop."""
    pairs = environment.items()
    return {name: value for name, value in pairs if value and _SETTING.fullmatch(name)}


def save(shop: Deployment, given: Mapping[str, str]) -> None:
    """Save a running shop and its settings, readable by its owner only."""
    text = json.dumps({"shop": asdict(shop), "given": dict(given)}, default=str, indent=1)
    shop.directory.mkdir(parents=True, exist_ok=True)
    state = _state_file(shop.directory)
    state.touch(mode=0o600)
    state.write_text(text)


def load(directory: Path) -> tuple[Deployment, dict[str, str]] | None:
    """Return the saved shop and its settings; None without one."""
    state = _state_file(directory)
    if not state.exists():
        return None
    saved = json.loads(state.read_text())
    return Deployment(**saved["shop"] | {"directory": directory}), saved["given"]


def delete_state(directory: Path) -> None:
    """Remove the saved shop after its end."""
    _state_file(directory).unlink(missing_ok=True)


def _state_file(directory: Path) -> Path:
    return directory / "shop.json"


def _numbers(
    names: Mapping[str, str], environment: Mapping[str, str], most: int, least: int = 1
) -> Iterator[tuple[str, int]]:
    for name, variable in names.items():
        text = environment.get(variable)
        if not text:
            continue
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ShopError(
                f"{variable} must be a number from {least} to {most}, not {text!r}"
            )
        yield name, int(text)
