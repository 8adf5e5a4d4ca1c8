"""A gateway in the tests' own process, and an HTTP client of it."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from gateway.app import Gateway
from gateway.pages import pages
from gateway.request_reply import RequestReplyClient
from gateway.server import serving
from gateway.settings import Settings
from topics.kafka.settings import KafkaSettings

PATIENCE_SECONDS = 90.0
PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Response:
    """A response over HTTP."""

    status: int
    kind: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem document."""
        assert self.kind == PROBLEM, self
        assert self.json.keys() == {"type", "title", "status", "detail", "code"}
        assert self.json["status"] == self.status
        return self.json["code"]


@dataclass
class Door:
    """The HTTP interface of a gateway; with `tls` it is HTTPS."""

    session: aiohttp.ClientSession
    port: int
    tls: ssl.SSLContext | None = None

    async def call(self, method: str, path: str, body=None, headers=None) -> Response:
        url = f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}{path}"
        options = {"data": body, "headers": headers, "ssl": self.tls or True}
        async with self.session.request(method, url, **options) as got:
            body = await got.read()
            return Response(got.status, got.content_type, dict(got.headers), body)

    async def post(self, path: str, body: dict | bytes, headers=None) -> Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.call("POST", path, raw, headers)

    def begin(self, path: str, body: dict, headers=None) -> asyncio.Task[Response]:
        """Begin a call, to be awaited after its reply is sent."""
        return asyncio.create_task(self.post(path, body, headers))

    async def raw(self, *parts: bytes) -> bytes:
        """Write bytes to a new connection; return all bytes until it is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for part in parts:
            writer.write(part)
        async with asyncio.timeout(PATIENCE_SECONDS):
            response = await reader.read()
        writer.close()
        return response

    async def ready(self) -> None:
        """Wait until the gateway is ready."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await self.call("GET", "/readyz")).status != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


@asynccontextmanager
async def open_door(cluster: KafkaSettings, **different) -> AsyncIterator[Door]:
    """Start a gateway on a free port, and wait until it is ready."""
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
