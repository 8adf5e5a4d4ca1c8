"""aiokafka's connections to brokers, mended; and why one does not come about."""

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
"""What waiting does not help against."""


class KafkaAuthenticationError(Exception):
    """Kafka is there, but not for us: a wrong password, an unknown certificate."""


OPENED: ContextVar["WeakSet[Connection] | None"] = ContextVar("OPENED", default=None)
"""The connections that this context has opened, for `topics.kafka.answering`."""


class Connection(conn.AIOKafkaConnection):  # type: ignore[misc] # aiokafka is untyped
    """aiokafka's, fit for uvloop and for TLS; reports outages of its broker.

    Attributes:
        address: host:port of the broker.
    """

    _open = False
    """Whether the broker has taken it: until then it answers also whom it refuses."""

    def __init__(self, host: str, port: int, **options: Any) -> None:  # noqa: ANN401
        super().__init__(host, port, **options)
        self.address = f"{host}:{port}"
        self._connecting = False
        if (opened := OPENED.get()) is not None:
            opened.add(self)

    @property
    def waits(self) -> bool:
        """Whether the broker has something to answer."""
        return self._connecting or bool(self._requests)

    @property
    def answered_at(self) -> float:
        """When the broker answered last, as `time.monotonic` counts."""
        return float(self._last_action)

    async def connect(self) -> Any:  # noqa: ANN401
        """Connect, and report what becomes of it."""
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
        """Send a request; fail as the client expects where the connection is just closed.

        For a moment nobody has noticed yet that it is. asyncio's transport then drops what
        is written to it; uvloop's raises a RuntimeError. Of that aiokafka's metadata task
        ends without a word, and who waits for a partition's new leader waits for ever.
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
        """Close the connection, and the socket with it.

        Whoever closes waits for the end of the transport, and that waits up to 30 seconds
        for the goodbye of a broker behind TLS, which may never come. Nothing is lost:
        requests that are under way have been given up before.
        """
        if reason == conn.CloseReason.CONNECTION_BROKEN and self._requests:
            why = exc if isinstance(exc, OSError) else "the broker closed the connection"
            OUTAGES.failed(self.address, why)
        if self._writer is not None:
            self._writer.transport.abort()
        return super().close(reason, exc)


async def find_auth_error(options: dict[str, Any]) -> KafkaAuthenticationError | None:
    """Return what says why no broker lets us in; None where another reason keeps us out.

    aiokafka's clients say no more than that they could not connect.

    Args:
        options: how to connect, as every aiokafka client takes them.
    """
    how = dict(options)
    for address in how.pop("bootstrap_servers"):
        host, _, port = address.rpartition(":")
        try:
            connection = await conn.create_conn(host, int(port), **how)
        except AUTHENTICATION_ERRORS as error:
            return KafkaAuthenticationError(
                f"Kafka at {address} does not let us in: {error}"
            )
        except (OSError, KafkaError, TimeoutError):
            continue
        connection.close()
    return None
