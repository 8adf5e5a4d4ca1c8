"""How to reach Kafka: the settings that every client of the shop shares."""

import re
from typing import Annotated, Any, Literal, Self

from aiokafka.helpers import create_ssl_context
from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from topics.kafka import compat

_COPIES_THAT_OUTLIVE_ONE = 3
_PORT = 9092
_ADDRESS = re.compile(r"[^\s:]+:[0-9]{1,5}|\[[0-9a-fA-F:.]+\]:[0-9]{1,5}")


def _addresses(text: str) -> str:
    """Return addresses with a port each."""
    named = [
        each if ":" in each else f"{each}:{_PORT}"
        for each in map(str.strip, text.split(","))
    ]
    if not all(_ADDRESS.fullmatch(each) for each in named):
        raise ValueError("must be host:port, several separated by commas")
    return ",".join(named)


class KafkaSettings(BaseSettings):
    """Where the brokers are and how they want to be spoken to (from the environment).

    An empty variable counts as not set.

    Attributes:
        kafka: host:port, several separated by commas; a port that is left out is 9092.
        kafka_replication: copies of each topic's records when topics are created.
        kafka_min_insync_replicas: how many of them must have a record before it is
            acknowledged; unset, it is two of three copies or more.
    """

    # Errors do not repeat what was given, which may be a password.
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

    @model_validator(mode="after")
    def _name_and_password(self) -> Self:
        """Have no password go unused, and no login be tried without one."""
        given = self.kafka_sasl_username and self.kafka_sasl_password
        if self.kafka_security_protocol.startswith("SASL") != bool(given):
            raise ValueError(
                "kafka_sasl_username and kafka_sasl_password go together with a"
                " kafka_security_protocol of SASL_SSL or SASL_PLAINTEXT"
            )
        return self

    @property
    def durability(self) -> dict[str, str]:
        """Return what makes acknowledged records outlive a broker, for new topics.

        Without it `acks=all` asks for as many copies as there happen to be: one, if it
        must be, and that broker may be the next to go.
        """
        wanted = self.kafka_min_insync_replicas
        if wanted is None and self.kafka_replication >= _COPIES_THAT_OUTLIVE_ONE:
            wanted = 2
        return {} if wanted is None else {"min.insync.replicas": str(wanted)}

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


def format_settings_errors(wrong: ValidationError) -> list[str]:
    """Return a line for each setting that makes no sense.

    What was given is not repeated: it may be a password.
    """
    errors = wrong.errors(include_input=False)
    names = [".".join(map(str, error["loc"])) or "settings" for error in errors]
    return [
        f"event=bad-setting name={name} why={error['msg']!r}"
        for name, error in zip(names, errors, strict=True)
    ]
