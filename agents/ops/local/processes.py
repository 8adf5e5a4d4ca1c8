"""The processes of a shop, as data: commands, environments, order of the start."""

import sys
from collections.abc import Iterator
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
    return [
        *_kafka(shop),
        *_product_service(shop),
        *_workers(shop, "products", 1),
        *_workers(shop, "notifications", 1),
        *_workers(shop, "loms", shop.loms_workers),
        *_workers(shop, "checkout", shop.checkout_workers),
        *_gateways(shop),
    ]


def _kafka(shop: Deployment) -> Iterator[Process]:
    if not shop.kafka:
        place = ("--dir", str(shop.directory / "kafka"), "--port", str(shop.kafka_port))
        yield Process("kafka", _python("topics.broker", "run", *place), tier=Tier.KAFKA)


def _product_service(shop: Deployment) -> Iterator[Process]:
    if not shop.product_service:
        stand_in = "agents.ops.standins.product_service"
        yield Process(
            "product-service", _python(stand_in, "--port", str(shop.product_port))
        )


def _workers(shop: Deployment, service: str, number: int) -> Iterator[Process]:
    # The embedded broker allows 2 s, but a busy machine then loses workers. Other brokers
    # mostly allow 6 s.
    session_timeout = shop.session_timeout_seconds or ("6" if shop.kafka else "3")
    for index in range(number):
        name = f"{service}-{index + 1}"
        own = {
            "WORKER": name,
            "STATE_DIR": str(shop.directory / "state" / name),
            "PRODUCT_SERVICE": shop.product_service or f"127.0.0.1:{shop.product_port}",
            "SESSION_TIMEOUT_SECONDS": session_timeout,
            "METRICS_PORT": str(shop.metrics_port_of(service, index)),
        }
        yield Process(name, _python("agents", service), _cluster(shop) | own)


def _gateways(shop: Deployment) -> Iterator[Process]:
    for index, port in enumerate(shop.gateway_ports):
        own = {"GATEWAY_INDEX": str(index), "GATEWAY_PORT": str(port)}
        environment = _cluster(shop) | own
        yield Process(f"gateway-{index + 1}", _python("gateway"), environment, Tier.GATEWAY)


def _cluster(shop: Deployment) -> dict[str, str]:
    return {"KAFKA": shop.bootstrap, "PARTITIONS": str(shop.partitions)}


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)
