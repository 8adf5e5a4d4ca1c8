"""Which cluster a tool works on: one rule for all tools, and for what `make` runs.

It is the cluster of the shop that runs in the directory (`RUN_DIR`). Without such a shop it
is the cluster of `KAFKA`. Without both there is none, and the tool ends.
"""

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import TextIO

from topics.kafka.settings import KafkaSettings
from topics.running_shop import run_directory, running_shop

_PROTOCOL = "KAFKA_SECURITY_PROTOCOL"
_NO_SECURITY: dict[str, object] = {
    "kafka_security_protocol": "PLAINTEXT",
    "kafka_sasl_username": None,
    "kafka_sasl_password": None,
}


class NoClusterError(Exception):
    """There is no cluster to work on; the message gives the reason in one line."""


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
        if os.environ.get("KAFKA"):
            return given, "the cluster of KAFKA"
        raise NoClusterError(
            f"the shop of {directory} does not run, and KAFKA is not set:"
            " make run-all, or KAFKA=host:port"
        )
    has_login = shop.own_broker or os.environ.get(_PROTOCOL)
    if _PROTOCOL in shop.security and not has_login:
        names = ", ".join(sorted(shop.security))
        raise NoClusterError(
            f"the shop of {shop.directory} was started with {names}: set them here, too"
        )
    taken = {"kafka": shop.kafka, "partitions": shop.partitions}
    ignored = ", ".join(
        f"{name.upper()}={getattr(given, name)}"
        for name, value in taken.items()
        if os.environ.get(name.upper()) and getattr(given, name) != value
    )
    cluster = given.model_copy(update=taken | (_NO_SECURITY if shop.own_broker else {}))
    origin = f"the cluster of the shop in {shop.directory}"
    return cluster, f"{origin} (ignored: {ignored})" if ignored else origin


def partitions() -> int:
    """Return the partitions of a request topic: the running shop's, else the setting."""
    shop = running_shop(run_directory())
    return shop.partitions if shop else KafkaSettings().partitions
