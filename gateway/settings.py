"""The settings of a gateway, from the environment."""

import ssl
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, PlainValidator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.tokens import TokenFile


def _token_file(path: str | Path) -> TokenFile:
    try:
        if not Path(path).is_file():
            raise ValueError("must be a file that can be read")
        return TokenFile(Path(path))
    except OSError as error:
        raise ValueError(f"must be a file that can be read: {error.strerror}") from None


def _no_password() -> bytes:
    raise ValueError("the private key must not be encrypted")


class Settings(BaseSettings):
    """The settings of one gateway; several gateways share Kafka only.

    An empty variable counts as not set.

    Attributes:
        gateway_port: 0 selects a free port, which the log has.
        gateway_index: the gateway's partition of the reply topic, modulo their number.
        reply_timeout_seconds: the timeout of a reply, and of a body.
        max_in_flight: limit of the calls that wait for a reply, and of incomplete bodies.
        gateway_tokens: unset, calls need none.
        gateway_tls_cert: the certificate with its chain, in PEM; it turns HTTPS on.
        gateway_tls_key: the private key of the certificate, in PEM, not encrypted.
    """

    model_config = SettingsConfigDict(env_ignore_empty=True)

    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(default=8080, ge=0, lt=2**16)
    gateway_index: int = Field(default=0, ge=0)
    reply_timeout_seconds: float = Field(default=10.0, gt=0, le=3600)
    max_in_flight: int = Field(default=2000, ge=1)
    gateway_tokens: Annotated[TokenFile, PlainValidator(_token_file)] | None = None
    gateway_tls_cert: Path | None = None
    gateway_tls_key: Path | None = None

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Self:
        if bool(self.gateway_tls_cert) != bool(self.gateway_tls_key):
            raise ValueError("gateway_tls_cert and gateway_tls_key go together")
        try:
            self.tls()
        except OSError as error:  # SSLError is a subclass
            raise ValueError(
                "gateway_tls_cert and gateway_tls_key must be a certificate and its"
                f" private key, in PEM: {error.strerror}"
            ) from None
        return self

    def tls(self) -> ssl.SSLContext | None:
        """Return the TLS context; None without a certificate."""
        if not (self.gateway_tls_cert and self.gateway_tls_key):
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.gateway_tls_cert, self.gateway_tls_key, _no_password)
        context.set_alpn_protocols(["http/1.1"])
        return context
