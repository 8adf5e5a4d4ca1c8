"""Splits what a broker sends into responses, without a task of its own.

aiokafka's reader task costs two turns of the event loop for each response, at every hop.
"""

import asyncio
import logging
from struct import Struct
from weakref import ref

from aiokafka import conn

SIZE = Struct(">i")
"""Of a request or a response, in front of it."""

log = logging.getLogger(__name__)


class FrameProtocol(asyncio.Protocol):
    """Passes each response to its connection, once that is authenticated.

    Args:
        connection: kept alive by its client, as with aiokafka's reader.
        streams: the protocol until now; it has to know when the connection is lost.
    """

    def __init__(
        self, connection: conn.AIOKafkaConnection, streams: asyncio.Protocol
    ) -> None:
        self._connection = ref(connection)
        self._streams = streams
        self._received = bytearray()

    def data_received(self, data: bytes) -> None:
        """Pass on the responses that are complete."""
        self._received += data
        try:
            self._pass_on()
        except Exception as error:  # whatever it is, what follows can't be read either
            log.exception("event=response-unreadable")
            self._close(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the requests in flight."""
        self._streams.connection_lost(exc)
        self._close(exc or EOFError("the broker closed the connection"))

    def _pass_on(self) -> None:
        received, begin = self._received, 0
        while len(received) >= begin + SIZE.size:
            [size] = SIZE.unpack_from(received, begin)
            if size < 0:
                raise ValueError(f"a response of {size} bytes")
            frame = begin + SIZE.size
            end = frame + size
            if end > len(received):
                break
            connection = self._connection()
            if connection is None or not connection.connected():
                break
            connection.receive(bytes(received[frame:end]))
            begin = end
        del received[:begin]

    def _close(self, error: Exception) -> None:
        if (connection := self._connection()) is not None:
            connection.close(reason=conn.CloseReason.CONNECTION_BROKEN, exc=error)
