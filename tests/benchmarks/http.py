"""A minimal HTTP client: one request at a time over a persistent connection.

The load shares two cores with the measured processes, and aiohttp's client takes as much of
them as the gateway. This one parses only responses of a gateway.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Self

_HOST = "127.0.0.1"
_GAP = b"\r\n\r\n"
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_REQUEST = b"POST /%b HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n\r\n%b"


class Client(asyncio.Protocol):
    """A connection to a gateway."""

    _transport: asyncio.Transport
    _answer: asyncio.Future[tuple[int, bytes]] | None = None
    _read = b""

    @classmethod
    async def connect(cls, port: int) -> Self:
        """Connect to a local server."""
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(cls, _HOST, port)
        return client

    async def ask(self, call: str, **body: Any) -> Any:
        """Send a request; return the reply.

        Raises:
            RuntimeError: it was refused.
            ConnectionError: the server closed the connection.
        """
        self._answer = asyncio.get_running_loop().create_future()
        data = json.dumps(body).encode()
        self._transport.write(_REQUEST % (call.encode(), len(data), data))
        status, content = await self._answer
        if status != 200:
            raise RuntimeError(f"{call} {body}: {status} {content.decode()}")
        return json.loads(content)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Resolve the response once it is complete."""
        self._read += data
        head, _, body = self._read.partition(_GAP)
        length = _LENGTH.search(head)
        if length and len(body) == int(length[1]):
            self._read = b""
            self._answer.set_result((int(head[9:12]), body))

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the request in flight."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"hung up: {error!r}"))


@asynccontextmanager
async def connected(ports: Iterable[int]) -> AsyncIterator[list[Client]]:
    """Connect a client to each of the ports; close them at the end of the context."""
    clients = [await Client.connect(port) for port in ports]
    yield clients
    for client in clients:
        client.close()
