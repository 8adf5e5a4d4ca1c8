"""The processes of a shop, as data: commands, environments, order of the start."""

import sys
from dataclasses import dataclass, field
from enum import IntEnum

from agents.ops.local.deployment import Deployment


class Tier(IntEnum):
    """The order in which processes start; they stop in the reverse order."""

    KAFKA = 1
    SERVICE = 2
    GATEWAY = 3


@dataclass(frozen=True)
class Process:
    """One process, which runs in the repository's root.

    Its command stays in the foreground, with the same process id. Its environment comes in
    addition to that of the supervisor.
    """

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    tier: Tier = Tier.SERVICE


def processes(shop: Deployment) -> list[Process]:
    """Return all processes of a shop, in the order of their start."""
    numbers = {"loms": shop.loms_workers, "checkout": shop.checkout_workers}
    kafka = ("--dir", str(shop.directory / "kafka"), "--port", str(shop.kafka_port))
    stand_in = ("agents.ops.product_stand_in", "--port", str(shop.product_port))
    everything = [
        Process("kafka", _python("topics.broker", "run", *kafka), tier=Tier.KAFKA),
        Process("product-service", _python(*stand_in)),
        *(
            _worker(shop, service, index)
            for service in ("products", "notifications", "loms", "checkout")
            for index in range(numbers.get(service, 1))
        ),
        *(_gateway(shop, index, port) for index, port in enumerate(shop.gateway_ports)),
    ]
    existing = {"kafka": shop.kafka, "product-service": shop.product_service}
    return [process for process in everything if not existing.get(process.name)]


def _worker(shop: Deployment, service: str, index: int) -> Process:
    name = f"{service}-{index + 1}"
    # The embedded broker allows 2 s, but a busy machine then loses workers. Other brokers
    # mostly allow 6 s.
    session_timeout = shop.session_timeout_seconds or ("6" if shop.kafka else "3")
    own = {
        "WORKER": name,
        "STATE_DIR": str(shop.directory / "state" / name),
        "PRODUCT_SERVICE": shop.product_service or f"127.0.0.1:{shop.product_port}",
        "SESSION_TIMEOUT_SECONDS": session_timeout,
        "METRICS_PORT": str(shop.metrics_port_of(service, index)),
    }
    return Process(name, _python("agents", service), _cluster(shop) | own)


def _gateway(shop: Deployment, index: int, port: int) -> Process:
    own = {"GATEWAY_INDEX": str(index), "GATEWAY_PORT": str(port)}
    name, environment = f"gateway-{index + 1}", _cluster(shop) | own
    return Process(name, _python("gateway"), environment, Tier.GATEWAY)


def _cluster(shop: Deployment) -> dict[str, str]:
    return {"KAFKA": shop.bootstrap, "PARTITIONS": str(shop.partitions)}


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)
