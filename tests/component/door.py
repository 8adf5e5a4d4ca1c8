"""A gateway in the tests' own process, and a client at its door."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from gateway.app import Gateway
from gateway.docs.pages import pages
from gateway.kafka.request_reply import RequestReplyClient
from gateway.server import serving
from gateway.settings import Settings
from topics.kafka.settings import KafkaSettings

PATIENCE_SECONDS = 90.0
PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Response:
    """What came back over HTTP."""

    status: int
    kind: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem, which any response but an answer must be."""
        assert self.kind == PROBLEM, self
        assert self.json.keys() == {"type", "title", "status", "detail", "code"}
        assert self.json["status"] == self.status
        return self.json["code"]


@dataclass
class Door:
    """Where a client knocks.

    Attributes:
        tls: whom the client trusts; without it the door speaks plain HTTP.
    """

    session: aiohttp.ClientSession
    port: int
    tls: ssl.SSLContext | None = None

    async def call(self, method: str, path: str, body=None, headers=None) -> Response:
        url = f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}{path}"
        told = {"data": body, "headers": headers, "ssl": self.tls or True}
        async with self.session.request(method, url, **told) as got:
            body = await got.read()
            return Response(got.status, got.content_type, dict(got.headers), body)

    async def post(self, path: str, body: dict | bytes, headers=None) -> Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.call("POST", path, raw, headers)

    def ask(self, path: str, body: dict, headers=None) -> asyncio.Task[Response]:
        """Begin a call, to be awaited when the shop has answered."""
        return asyncio.create_task(self.post(path, body, headers))

    async def raw(self, *parts: bytes) -> bytes:
        """Write bytes to a connection and return all that comes until it is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for part in parts:
            writer.write(part)
        async with asyncio.timeout(PATIENCE_SECONDS):
            said = await reader.read()
        writer.close()
        return said

    async def ready(self) -> None:
        """Wait until the gateway says it is ready."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await self.call("GET", "/readyz")).status != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


@asynccontextmanager
async def open_door(cluster: KafkaSettings, **different) -> AsyncIterator[Door]:
    """Open a gateway on a port of its own, and wait until it is ready."""
    settings = Settings(gateway_port=0, **different)
    client = RequestReplyClient(cluster.client_options(), settings)
    shown = pages(cluster, is_locked=settings.gateway_tokens is not None)
    connected = asyncio.create_task(client.run())
    try:
        async with (
            serving(Gateway(client, shown, settings), settings) as port,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        ):
            door = Door(session, port)
            await door.ready()
            yield door
    finally:
        connected.cancel()
        await asyncio.wait([connected])
