"""What one shop is made of: where it lives, its ports, how many of each process."""

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

# The counts that `make scale` changes while everything else stays as it was.
COUNTS = {
    "gateways": "GATEWAYS",
    "checkout_workers": "CHECKOUT_WORKERS",
    "loms_workers": "LOMS_WORKERS",
}

# How this machine reaches what listens on all of its addresses.
_ON_ALL = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104

# With another value of one of these it is another shop, whose processes start anew.
_SETTING = re.compile(
    r"(KAFKA|NOTIFY|OTEL|PAYMENT|PRODUCT|REPLY|REQUEST|SESSION|SMTP|WEBHOOK)(_\w+)?"
    r"|GATEWAY_(HOST|PORT|TLS_CERT|TLS_KEY|TOKENS)"
    r"|LOG_FORMAT|MAX_IN_FLIGHT|METRICS_PORT|PARTITIONS"
)


class ShopError(Exception):
    """A command can't do what it was asked; the message says why, for people."""


@dataclass(frozen=True)
class Deployment:
    """One shop. A second one beside it needs a directory and ports of its own.

    Attributes:
        directory: all its state, logs and sockets (`RUN_DIR`).
        kafka: an existing cluster (`KAFKA`); empty, there is an embedded broker.
        kafka_port: the embedded broker's; its controller takes the next one.
        gateway_port: the first gateway's; the others take what follows.
        gateway_host: the address that they listen on (`GATEWAY_HOST`); empty, loopback.
        gateway_tls_cert: their certificate (`GATEWAY_TLS_CERT`); empty, they have none.
        kafka_ui_port: kept free for `make kafka-ui`.
        product_service: host:port (`PRODUCT_SERVICE`); empty, there is the stand-in.
        product_port: the stand-in's.
        metrics_port: the first worker's, for Prometheus; the others take what follows.
            0: they have none.
        partitions: of each request topic.
        session_timeout: of the workers, seconds (`SESSION_TIMEOUT_SECONDS`); empty, as
            short as the brokers surely allow.
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
        """How long a worker that is silent keeps its partitions.

        Our own broker allows 2 s, and then a busy machine costs workers; others mostly 6 s.
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
        """Return what the address of a gateway begins with."""
        return "https" if self.gateway_tls_cert else "http"

    @property
    def gateway_urls(self) -> list[str]:
        """An address for each gateway, for clients on this machine."""
        host = _ON_ALL.get(self.gateway_host, self.gateway_host)
        name = f"[{host}]" if ":" in host else host
        return [f"{self.gateway_scheme}://{name}:{port}" for port in self.gateway_ports]

    @property
    def ports(self) -> dict[int, str]:
        """Each port that the shop listens on, and the variable that moves it."""
        ports = dict.fromkeys(self.gateway_ports, "GATEWAY_PORT")
        if not self.kafka:
            ports |= dict.fromkeys((self.kafka_port, self.kafka_port + 1), "KAFKA_PORT")
        if not self.product_service:
            ports[self.product_port] = "PRODUCT_PORT"
        return ports

    def metrics_port_of(self, service: str, index: int) -> int:
        """Return a worker's port, the same whatever else there is scaled to; 0: none."""
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
    """Read the shop that the environment describes; empty variables don't count.

    Raises:
        ShopError: a number is none, or out of range.
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
    """Return those variables that say what a shop is; the others do not concern it."""
    pairs = environment.items()
    return {name: value for name, value in pairs if value and _SETTING.fullmatch(name)}


def save(shop: Deployment, given: Mapping[str, str]) -> None:
    """Write down a running shop and its settings, for its owner's eyes only."""
    text = json.dumps({"shop": asdict(shop), "given": dict(given)}, default=str, indent=1)
    shop.directory.mkdir(parents=True, exist_ok=True)
    note = _state_file(shop.directory)
    note.touch(mode=0o600)
    note.write_text(text)


def load(directory: Path) -> tuple[Deployment, dict[str, str]] | None:
    """Read what `save` wrote; None when there is no such shop."""
    note = _state_file(directory)
    if not note.exists():
        return None
    saved = json.loads(note.read_text())
    return Deployment(**saved["shop"] | {"directory": directory}), saved["given"]


def delete_state(directory: Path) -> None:
    """Remove what `save` wrote: the shop runs no longer."""
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
