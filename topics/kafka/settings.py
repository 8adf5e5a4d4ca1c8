"""The settings of Kafka that all clients of the shop share."""

import math
import re
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from aiokafka.helpers import create_ssl_context
from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from topics.kafka import compat
from topics.topic import FOREVER

_FAULT_TOLERANT_COPIES = 3
_PORT = 9092
_ADDRESS = re.compile(r"[^\s:]+:[0-9]{1,5}|\[[0-9a-fA-F:.]+\]:[0-9]{1,5}")


def _addresses(text: str) -> str:
    addresses = [
        address if ":" in address else f"{address}:{_PORT}"
        for address in map(str.strip, text.split(","))
    ]
    if not all(map(_ADDRESS.fullmatch, addresses)):
        raise ValueError("must be host:port, several separated by commas")
    return ",".join(addresses)


def _hours(hours: float) -> float:
    if not hours > 0 or timedelta.max / timedelta(hours=1) < hours < math.inf:
        raise ValueError("must be a number of hours above zero")
    return hours


class KafkaSettings(BaseSettings):
    """The brokers' addresses and security, from the environment.

    Attributes:
        kafka: host:port, several separated by commas; a port that is left out is 9092.
        kafka_replication: copies of each topic's records when topics are created.
        kafka_min_insync_replicas: the number of copies that must have a record before it
            is acknowledged; None: two, if `kafka_replication` is three or more.
    """

    # An empty variable counts as not set. Errors repeat no value: it may be a password.
    model_config = SettingsConfigDict(env_ignore_empty=True, hide_input_in_errors=True)

    kafka: Annotated[str, AfterValidator(_addresses)] = f"127.0.0.1:{_PORT}"
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = (
        "PLAINTEXT"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = (
        "SCRAM-SHA-512"
    )
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ssl_cafile: str | None = None
    kafka_ssl_certfile: str | None = None
    kafka_ssl_keyfile: str | None = None
    kafka_replication: int = 1
    kafka_min_insync_replicas: int | None = None
    partitions: int = Field(default=8, ge=1)
    request_retention_hours: Annotated[float, AfterValidator(_hours)] = math.inf

    @model_validator(mode="after")
    def _require_whole_login(self) -> Self:
        has_login = self.kafka_sasl_username and self.kafka_sasl_password
        if self.kafka_security_protocol.startswith("SASL") != bool(has_login):
            raise ValueError(
                "kafka_sasl_username and kafka_sasl_password go together with a"
                " kafka_security_protocol of SASL_SSL or SASL_PLAINTEXT"
            )
        return self

    @property
    def request_retention(self) -> timedelta:
        """The retention of request topics."""
        hours = self.request_retention_hours
        return FOREVER if hours == math.inf else timedelta(hours=hours)

    @property
    def durability(self) -> dict[str, str]:
        """The settings of new topics that keep records after the loss of a broker.

        Without `min.insync.replicas` a record is acknowledged by `acks=all` with one copy,
        if the other brokers are down, and is lost with that broker.
        """
        copies = self.kafka_min_insync_replicas
        if copies is None and self.kafka_replication >= _FAULT_TOLERANT_COPIES:
            copies = 2
        return {} if copies is None else {"min.insync.replicas": str(copies)}

    def client_options(self) -> dict[str, Any]:
        """Return the options of an aiokafka client; apply what `compat` replaces."""
        compat.apply()
        options: dict[str, Any] = {
            "bootstrap_servers": self.kafka.split(","),
            "security_protocol": self.kafka_security_protocol,
        }
        if self.kafka_security_protocol.endswith("SSL"):
            options["ssl_context"] = create_ssl_context(
                cafile=self.kafka_ssl_cafile,
                certfile=self.kafka_ssl_certfile,
                keyfile=self.kafka_ssl_keyfile,
            )
        if self.kafka_sasl_password is not None:
            options["sasl_mechanism"] = self.kafka_sasl_mechanism
            options["sasl_plain_username"] = self.kafka_sasl_username
            options["sasl_plain_password"] = self.kafka_sasl_password.get_secret_value()
        return options


def format_settings_errors(error: ValidationError) -> list[str]:
    """Return a line for each invalid setting, without its value: it may be a password."""
    return [
        f"event=bad-setting name={'.'.join(map(str, detail['loc'])) or 'settings'}"
        f" reason={detail['msg']!r}"
        for detail in error.errors(include_input=False)
    ]
