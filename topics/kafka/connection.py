"""aiokafka's connections to brokers with fixes; and the outages of brokers.

Kafka's clients log several lines for each attempt to reach a broker: 75 lines a second in a
worker, which rotate all history away within hours. An outage has a line at its start, one a
minute, and one at its end. `topics.telemetry.logging` suppresses the clients' lines.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
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

from topics.kafka.frames import SIZE, FrameProtocol

_EVERY_SECONDS = 60.0

_STEADY_SECONDS = 2.0
"""An outage ends after so long without a failure: a flapping broker has one outage."""

_RECENT_SECONDS = 60.0
"""After so long without a failure, lines of the client have another cause."""

AUTHENTICATION_ERRORS = (
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
    IllegalSaslStateError,
    SSLCertVerificationError,
)

log = logging.getLogger(__name__)


class KafkaAuthenticationError(Exception):
    """Kafka refuses the client: a wrong password, an unknown certificate."""


@dataclass(slots=True)
class _Outage:
    """The outage of one broker; times are monotonic seconds."""

    began: float
    failed: float
    written: float
    answered: float | None = None
    suppressed: int = 0


class Outages:
    """The brokers that this process can't reach.

    Args:
        clock: returns monotonic seconds.

    Attributes:
        muted: nothing is logged until a broker has responded.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._outages: dict[str, _Outage] = {}
        self.muted = False

    def failed(self, broker: str, reason: BaseException | str) -> None:
        """Record a failed connection or request to a broker: host:port."""
        if self.muted:
            return
        now, text = self._clock(), _text(reason)
        outage = self._outages.get(broker)
        if outage is None:
            self._outages[broker] = _Outage(began=now, failed=now, written=now)
            log.warning("event=kafka-unreachable broker=%s reason=%r", broker, text)
            return
        outage.failed, outage.answered = now, None
        if now - outage.written >= _EVERY_SECONDS:
            outage.written = now
            log.warning(
                "event=kafka-unreachable broker=%s for_seconds=%.0f suppressed=%d"
                " reason=%r",
                broker,
                now - outage.began,
                outage.suppressed,
                text,
            )

    def answered(self, broker: str) -> None:
        """Record a response; it ends an outage without a recent failure."""
        self.muted = False
        outage = self._outages.get(broker)
        if outage is None:
            return
        now = self._clock()
        if outage.answered is None:
            outage.answered = now
        if now - outage.failed >= _STEADY_SECONDS:
            del self._outages[broker]
            log.warning(
                "event=kafka-reachable broker=%s after_seconds=%.1f suppressed=%d",
                broker,
                outage.answered - outage.began,
                outage.suppressed,
            )

    def suppress(self) -> bool:
        """Count a line of the clients for a recent outage; return whether there is one."""
        if not self._outages:
            return False
        latest = max(self._outages.values(), key=lambda outage: outage.failed)
        if self._clock() - latest.failed > _RECENT_SECONDS:
            return False
        latest.suppressed += 1
        return True


OUTAGES = Outages()
"""The outages of this process, shared by its clients."""


class Connection(conn.AIOKafkaConnection):  # type: ignore[misc] # aiokafka is untyped
    """A connection that works with uvloop and TLS, and reports outages of its broker."""

    @cached_property
    def address(self) -> str:
        """The broker's host:port."""
        return format_address(self.host, self.port)

    async def connect(self) -> Any:  # noqa: ANN401
        """Connect; report success or failure.

        Raises:
            KafkaConnectionError: the broker has closed the connection right after it was
                accepted, as one that is killed does. Nothing would notice it any more, and
                the first request would wait for its timeout.
        """
        try:
            streams = await super().connect()
            if not self.connected() or self._writer.is_closing():
                self.close(reason=conn.CloseReason.CONNECTION_BROKEN)
                raise KafkaConnectionError(f"{self!r}: the broker closed the connection")
        except (OSError, KafkaError) as error:
            OUTAGES.failed(self.address, error)
            raise
        # aiokafka's streams have read all so far: each request was answered.
        self._read_task.cancel()
        self._writer.transport.set_protocol(FrameProtocol(self, self._protocol))
        OUTAGES.answered(self.address)
        return streams

    def send(self, request: Any, expect_response: bool = True) -> Any:  # noqa: ANN401
        """Send a request; return the future of its response, or of its timeout.

        aiokafka's method returns a coroutine with two contexts, for each request.

        Raises:
            KafkaConnectionError: the connection is closed. The client may not have noticed:
                uvloop's transport raises a RuntimeError. That would silently end
                aiokafka's metadata task, and a wait for a new leader would never end.
        """
        if not expect_response or self._writer is None:
            return super().send(request, expect_response)
        message = request.prepare(self._versions)
        number = self._next_correlation_id()
        header = message.build_request_header(number, self._client_id)
        data = header.encode() + message.encode()
        try:
            self._writer.write(SIZE.pack(len(data)) + data)
        except (OSError, RuntimeError) as error:
            self.close(reason=conn.CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"{self!r}: {error}") from error
        response = self._loop.create_future()
        timer = self._loop.call_later(self._request_timeout, self._time_out, response)
        response.add_done_callback(lambda _: timer.cancel())
        self._requests.append((number, message, response))
        return response

    def _time_out(self, response: asyncio.Future[Any]) -> None:
        if not response.done():
            OUTAGES.failed(self.address, f"no answer within {self._request_timeout:g} s")
            response.set_exception(TimeoutError())

    def receive(self, frame: bytes) -> None:
        """Handle a response of the broker, once it has accepted the connection."""
        self._handle_frame(frame)
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
    except AUTHENTICATION_ERRORS as error:
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


def _text(reason: BaseException | str) -> str:
    """Return a reason as text; an error without a text has the name of its class."""
    if isinstance(reason, str):
        return reason
    name, text = type(reason).__name__, str(reason)
    return text if name in text else f"{name}: {text}".removesuffix(": ")
