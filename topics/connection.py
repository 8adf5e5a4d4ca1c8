"""Connections to brokers: left at once, and asked why they do not come about."""

from ssl import SSLCertVerificationError
from typing import Any

from aiokafka import conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

NOT_LET_IN = (
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
    IllegalSaslStateError,
    SSLCertVerificationError,
)
"""What waiting does not help against."""


class _Connection(conn.AIOKafkaConnection):  # type: ignore[misc] # aiokafka is untyped
    """Leaves a broker behind TLS without waiting for its goodbye.

    Whoever closes waits for the end of the transport, and that waits up to 30 seconds for
    what a broker that is about to answer something else does not say. Nothing is lost:
    requests that are under way have been given up before.
    """

    def close(self, reason: Any = None, exc: Any = None) -> Any:  # noqa: ANN401
        """Close the connection, and the socket with it."""
        if self._writer is not None:
            self._writer.transport.abort()
        return super().close(reason, exc)


conn.AIOKafkaConnection = _Connection


async def refusal(options: dict[str, Any]) -> str | None:
    """Say why no broker lets us in; None where another reason keeps us out.

    aiokafka's clients say no more than that they could not connect.

    Args:
        options: how to connect, as every aiokafka client takes them.
    """
    how = dict(options)
    for address in how.pop("bootstrap_servers"):
        host, _, port = address.rpartition(":")
        try:
            connection = await conn.create_conn(host, int(port), **how)
        except NOT_LET_IN as error:
            return str(error)
        except (OSError, KafkaError, TimeoutError):
            continue
        connection.close()
    return None
