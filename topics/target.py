"""Which cluster a tool works on: one rule for all tools, and for what `make` runs.

It is the cluster of the shop that runs in the directory (`RUN_DIR`). Without such a shop it
is the cluster of `KAFKA`. Without both there is none, and the tool ends.
"""

import os
import sys
from functools import cached_property
from typing import TextIO

from topics.kafka.settings import KafkaSettings
from topics.running_shop import RunningShop, run_directory, running_shop

_PROTOCOL = "KAFKA_SECURITY_PROTOCOL"
_NO_SECURITY: dict[str, object] = {
    "kafka_security_protocol": "PLAINTEXT",
    "kafka_sasl_username": None,
    "kafka_sasl_password": None,
}


class NoClusterError(Exception):
    """There is no cluster to work on; the message gives the reason in one line."""


class Target:
    """The cluster that a tool works on, chosen and printed at its first use.

    Args:
        tool: the name that begins the line.
        out: where the line is printed; standard error keeps standard output parseable.
    """

    def __init__(self, tool: str, out: TextIO | None = None) -> None:
        self.tool = tool
        self._out = out

    @cached_property
    def cluster(self) -> KafkaSettings:
        """The cluster.

        Raises:
            NoClusterError: no shop runs here, and `KAFKA` is not set.
            pydantic.ValidationError: a setting is invalid.
        """
        cluster, origin = choose()
        out = self._out or sys.stderr
        out.write(f"{self.tool}: Kafka at {cluster.kafka}, {origin}\n")
        out.flush()
        return cluster


def choose() -> tuple[KafkaSettings, str]:
    """Return the cluster to work on, and a phrase that tells where it comes from.

    Raises:
        NoClusterError: no shop runs here, and `KAFKA` is not set.
        pydantic.ValidationError: a setting is invalid.
    """
    given, directory = KafkaSettings(), run_directory()
    if shop := running_shop(directory):
        return _of(shop, given), _origin(shop, given)
    if not os.environ.get("KAFKA"):
        raise NoClusterError(
            f"the shop of {directory} does not run, and KAFKA is not set:"
            " make run-all, or KAFKA=host:port"
        )
    return given, "the cluster of KAFKA"


def partitions() -> int:
    """Return the partitions of a request topic: the running shop's, else the setting."""
    shop = running_shop(run_directory())
    return shop.partitions if shop else KafkaSettings().partitions


def _of(shop: RunningShop, given: KafkaSettings) -> KafkaSettings:
    where = {"kafka": shop.kafka, "partitions": shop.partitions}
    if shop.own_broker:
        return given.model_copy(update=where | _NO_SECURITY)
    if _PROTOCOL in shop.security and not os.environ.get(_PROTOCOL):
        names = ", ".join(sorted(shop.security))
        raise NoClusterError(
            f"the shop of {shop.directory} was started with {names}: set them here, too"
        )
    return given.model_copy(update=where)


def _origin(shop: RunningShop, given: KafkaSettings) -> str:
    settings = (
        ("KAFKA", given.kafka, shop.kafka),
        ("PARTITIONS", given.partitions, shop.partitions),
    )
    ignored = [
        f"{name}={value}"
        for name, value, taken in settings
        if os.environ.get(name) and value != taken
    ]
    origin = f"the cluster of the shop in {shop.directory}"
    return f"{origin} (ignored: {', '.join(ignored)})" if ignored else origin
