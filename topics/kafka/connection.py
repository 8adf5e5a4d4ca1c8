"""aiokafka's connections to brokers with fixes; outages; failed authentications."""

from collections.abc import Awaitable
from ssl import SSLCertVerificationError
from typing import Any

from aiokafka import conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from topics.telemetry.outage import OUTAGES

_AUTHENTICATION_ERRORS = (
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
    IllegalSaslStateError,
    SSLCertVerificationError,
)


class KafkaAuthenticationError(Exception):
    """Kafka refuses the client: a wrong password, an unknown certificate."""


class Connection(conn.AIOKafkaConnection):  # type: ignore[misc] # aiokafka is untyped
    """A connection that works with uvloop and TLS, and reports outages of its broker."""

    _open = False
    """Whether the broker has accepted the connection; before, it may still refuse it."""

    @property
    def address(self) -> str:
        """Return host:port of the broker."""
        return format_address(self.host, self.port)

    async def connect(self) -> Any:  # noqa: ANN401
        """Connect; report success or failure."""
        try:
            streams = await super().connect()
        except (OSError, KafkaError) as error:
            OUTAGES.failed(self.address, error)
            raise
        self._open = True
        OUTAGES.answered(self.address)
        return streams

    def send(self, *request: Any, **options: Any) -> Any:  # noqa: ANN401
        """Send a request; raise the error that aiokafka expects if the connection closed.

        The client may not have noticed the close. asyncio's transport then drops written
        bytes; uvloop's raises a RuntimeError. That error silently ends aiokafka's metadata
        task, so that a wait for a partition's new leader never ends.
        """
        try:
            return self._report_timeout(super().send(*request, **options))
        except RuntimeError as error:
            self.close(reason=conn.CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"{self!r}: {error}") from error

    async def _report_timeout(self, response: Awaitable[Any]) -> Any:  # noqa: ANN401
        try:
            return await response
        except TimeoutError:
            OUTAGES.failed(self.address, f"no answer within {self._request_timeout:g} s")
            raise

    def _handle_frame(self, frame: bytes) -> None:
        super()._handle_frame(frame)
        if self._open:
            OUTAGES.answered(self.address)

    def close(self, reason: Any = None, exc: Any = None) -> Any:  # noqa: ANN401
        """Close the connection and abort its socket.

        A caller waits for the end of the transport. Behind TLS that waits up to 30 seconds
        for the broker's close, which may never arrive. No data is lost: requests in flight
        were cancelled before.
        """
        if reason == conn.CloseReason.CONNECTION_BROKEN and self._requests:
            reason_text = "the broker closed the connection"
            OUTAGES.failed(self.address, exc if isinstance(exc, OSError) else reason_text)
        if self._writer is not None:
            self._writer.transport.abort()
        return super().close(reason, exc)


def format_address(host: str, port: int) -> str:
    """Return host:port; an IPv6 address is in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def connect(address: str, options: dict[str, Any]) -> Connection:
    """Connect to a broker, with the options of aiokafka's clients.

    Raises:
        KafkaAuthenticationError: the broker refuses the client.
        KafkaError, OSError: the connection fails for another reason.
    """
    [(host, port, _)] = conn.collect_hosts(address)
    others = {name: options[name] for name in options if name != "bootstrap_servers"}
    try:
        connection: Connection = await conn.create_conn(host, port, **others)
    except _AUTHENTICATION_ERRORS as error:
        raise KafkaAuthenticationError(
            f"Kafka at {address} does not let us in: {error}"
        ) from error
    return connection


async def find_auth_error(options: dict[str, Any]) -> KafkaAuthenticationError | None:
    """Return the authentication error of a broker; None if the failure has another reason.

    aiokafka's clients report only that they could not connect.
    """
    for address in options["bootstrap_servers"]:
        try:
            (await connect(address, options)).close()
        except KafkaAuthenticationError as error:
            return error
        except (OSError, KafkaError):
            continue
    return None
