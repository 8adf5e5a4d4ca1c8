"""aiokafka's connections to brokers with fixes; and the reason of a failed one."""

from collections.abc import Awaitable
from contextvars import ContextVar
from ssl import SSLCertVerificationError
from typing import Any
from weakref import WeakSet

from aiokafka import conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from topics.telemetry.outage import OUTAGES

AUTHENTICATION_ERRORS = (
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
    IllegalSaslStateError,
    SSLCertVerificationError,
)
"""Errors that a retry does not solve."""


class KafkaAuthenticationError(Exception):
    """Kafka refuses the client: a wrong password, an unknown certificate."""


OPENED: ContextVar["WeakSet[Connection] | None"] = ContextVar("OPENED", default=None)
"""The connections that this context has opened, for `topics.kafka.answering`."""


class Connection(conn.AIOKafkaConnection):  # type: ignore[misc] # aiokafka is untyped
    """A connection that works with uvloop and TLS, and reports outages of its broker.

    Attributes:
        address: host:port of the broker.
    """

    _open = False
    """Whether the broker has accepted the connection; before, it may still refuse it."""

    def __init__(self, host: str, port: int, **options: Any) -> None:  # noqa: ANN401
        super().__init__(host, port, **options)
        self.address = f"{host}:{port}"
        self._connecting = False
        if (opened := OPENED.get()) is not None:
            opened.add(self)

    @property
    def waits(self) -> bool:
        """Whether the connection waits for a response."""
        return self._connecting or bool(self._requests)

    @property
    def answered_at(self) -> float:
        """The time of the last response, in seconds of `time.monotonic`."""
        return float(self._last_action)

    async def connect(self) -> Any:  # noqa: ANN401
        """Connect; report success or failure."""
        self._connecting = True
        try:
            streams = await super().connect()
        except (OSError, KafkaError) as error:
            OUTAGES.failed(self.address, error)
            raise
        finally:
            self._connecting = False
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
            return self._answer(super().send(*request, **options))
        except RuntimeError as error:
            self.close(reason=conn.CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"{self!r}: {error}") from error

    async def _answer(self, answer: Awaitable[Any]) -> Any:  # noqa: ANN401
        try:
            return await answer
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
            reason_text = (
                exc if isinstance(exc, OSError) else "the broker closed the connection"
            )
            OUTAGES.failed(self.address, reason_text)
        if self._writer is not None:
            self._writer.transport.abort()
        return super().close(reason, exc)


async def find_auth_error(options: dict[str, Any]) -> KafkaAuthenticationError | None:
    """Return the authentication error of a broker; None if the failure has another reason.

    aiokafka's clients report only that they could not connect.

    Args:
        options: the connection options of aiokafka's clients.
    """
    others = dict(options)
    for address in others.pop("bootstrap_servers"):
        host, _, port = address.rpartition(":")
        try:
            connection = await conn.create_conn(host, int(port), **others)
        except AUTHENTICATION_ERRORS as error:
            return KafkaAuthenticationError(
                f"Kafka at {address} does not let us in: {error}"
            )
        except (OSError, KafkaError, TimeoutError):
            continue
        connection.close()
    return None
