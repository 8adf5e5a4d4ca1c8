"""Connections: half-closed, closed by their clients, and above the file limit."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.component.door import PATIENCE_SECONDS, PROBLEM, Door
from tests.component.gateway_process import GatewayProcess, running
from tests.standins.shop import Shop
from topics.kafka.settings import KafkaSettings

STOCKS = {"type": "stocks", "stocks": []}
HEAD = b"POST /stocks HTTP/1.1\r\nHost: shop\r\n"
WHOLE = HEAD + b'Content-Length: 9\r\n\r\n{"sku":1}'
IN_CHUNKS = HEAD + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"sku\r\n4\r\n":1}\r\n0\r\n\r\n'
OLD = WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0")
SERVED_OF_128_FILES = 80


@pytest.fixture
async def process(cluster: KafkaSettings) -> AsyncIterator[GatewayProcess]:
    """A gateway under uvloop."""
    async with running(cluster.kafka) as there:
        await there.door.ready()
        yield there


@pytest.fixture(params=["asyncio", "uvloop"])
async def door(
    request: pytest.FixtureRequest, open_gateway, cluster: KafkaSettings
) -> AsyncIterator[Door]:
    """A gateway in this process under asyncio, or in its own under uvloop."""
    if request.param == "asyncio":
        yield await open_gateway()
        return
    async with running(cluster.kafka) as there:
        await there.door.ready()
        yield there.door


@dataclass
class Client:
    """A client that half-closes its connection; the writer keeps the other half open."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def rest(self) -> bytes:
        """Return all bytes until the server closes the connection."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            response = await self.reader.read()
        self.writer.close()
        return response


async def half_close(door: Door, sent: bytes) -> Client:
    """Send bytes and close the sending side, as `nc -N` does."""
    client = Client(*await asyncio.open_connection("127.0.0.1", door.port))
    client.writer.write(sent)
    client.writer.write_eof()
    return client


async def get(door: Door, path: bytes) -> bytes:
    """Get a page over a new connection."""
    head = b"GET %s HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
    return await door.raw(head % path)


async def served(door: Door, path: bytes) -> None:
    """Wait until a page is served to a new connection."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while b" 200 OK" not in await get(door, path):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "sent", [WHOLE, IN_CHUNKS, OLD], ids=["whole", "in chunks", "HTTP/1.0"]
)
async def test_a_half_closed_client_gets_the_response_that_it_waits_for(
    door: Door, shop: Shop, sent: bytes
):
    client = await half_close(door, sent)
    await shop.reply(await shop.request(), STOCKS)
    response = await client.rest()
    assert response.split(b"\r\n")[0].endswith(b" 200 OK")
    assert response.endswith(b'\r\n\r\n{"stocks":[]}')


async def test_a_half_closed_client_gets_each_response_of_a_pipeline(
    door: Door, shop: Shop
):
    look = b"GET /livez HTTP/1.1\r\nHost: shop\r\n\r\n"
    client = await half_close(door, WHOLE + look * 40 + WHOLE)
    for _ in range(2):
        await shop.reply(await shop.request(), STOCKS)
    response = await client.rest()
    assert response.count(b"HTTP/1.1 200 OK\r\n") == 42
    assert response.count(b'{"status":"alive"}') == 40
    assert response.count(b"Connection: close\r\n") == 1
    assert response.endswith(b'Connection: close\r\n\r\n{"stocks":[]}')


@pytest.mark.parametrize(
    ("sent", "detail"),
    [
        (HEAD + b'Content-Length: 9\r\n\r\n{"sku"', b"it ends too early"),
        (
            HEAD + b'Transfer-Encoding: chunked\r\n\r\n9\r\n{"sku":1}\r\n',
            b"it ends too early",
        ),
        (HEAD, b"the request ends within its head"),
        (b"POST /st", b"the request ends within its head"),
        (b"hello\r\n\r\n", b"this is not HTTP"),
    ],
)
async def test_a_request_that_ends_too_early_is_refused_and_not_sent(
    untouched: Door, sent: bytes, detail: bytes, caplog: pytest.LogCaptureFixture
):
    response = await (await half_close(untouched, sent)).rest()
    assert response.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert detail in response
    assert not caplog.records


async def test_an_incomplete_request_after_a_complete_one_gets_no_response(
    gateway: Door, shop: Shop
):
    client = await half_close(gateway, WHOLE + b"POST /stocks HTTP/1.1\r\n")
    await shop.reply(await shop.request(), STOCKS)
    assert (await client.rest()).count(b"HTTP/1.1 ") == 1


async def test_a_client_that_sends_nothing_gets_nothing(gateway: Door):
    assert await (await half_close(gateway, b"")).rest() == b""


def connections(process: GatewayProcess) -> int:
    """Count the clients' connections that a gateway has open."""
    port = f":{process.door.port:04X}"
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # Columns: number, local address, remote address, state (TIME_WAIT, LISTEN excluded).
    return sum(row[1].endswith(port) and row[3] not in ("06", "0A") for row in rows)


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_disconnected_clients_leave_no_open_connection(
    process: GatewayProcess, shop: Shop, reset: bool
):
    before = connections(process)
    _, writer = await asyncio.open_connection("127.0.0.1", process.door.port)
    writer.write(WHOLE * 2)
    request = await shop.request()
    if reset:
        at_once = struct.pack("ii", 1, 0)
        client = writer.get_extra_info("socket")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    writer.close()
    await shop.reply(request, STOCKS)
    if not reset:  # it may be a half-close: the second request is processed
        await shop.reply(await shop.request(), STOCKS)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while connections(process) > before:  # noqa: ASYNC110 -- files have no event
            await asyncio.sleep(0.02)


async def idle(stack: AsyncExitStack, port: int, count: int) -> list[asyncio.StreamWriter]:
    """Open connections that send nothing."""
    writers = []
    for _ in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        stack.callback(writer.close)
        writers.append(writer)
    return writers


async def test_the_usual_soft_limit_of_files_is_raised(cluster: KafkaSettings):
    async with running(cluster.kafka, "-Sn 64") as there, AsyncExitStack() as stack:
        await idle(stack, there.door.port, 200)
        assert (await there.door.call("GET", "/livez")).status == 200


async def test_connections_above_the_file_limit_are_refused_and_kafka_keeps_its_files(
    cluster: KafkaSettings, shop: Shop
):
    async with running(cluster.kafka, "-n 128") as there, AsyncExitStack() as stack:
        await there.door.ready()  # whose own connection stays open
        first, *_ = await idle(stack, there.door.port, SERVED_OF_128_FILES - 1)
        for _ in range(20):
            response = await there.door.raw(WHOLE)
            assert response.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert b'"code": "overloaded"' in response
            assert b"\r\nRetry-After: 1\r\n" in response
            assert b"\r\nConnection: close\r\n" in response
            assert f"\r\nContent-Type: {PROBLEM}".encode() in response
        call = there.door.begin("/stocks", {"sku": 1})
        await shop.reply(await shop.request(), STOCKS)
        assert (await call).status == 200
        first.close()
        await served(there.door, b"/livez")
        there.process.terminate()
        assert await there.exit_code() == 0
        assert sum("event=overloaded" in line for line in there.log) == 1
        assert any("connections=81 max=80" in line for line in there.log)


async def test_a_flood_of_connections_leaves_a_gateway_that_serves(
    cluster: KafkaSettings, shop: Shop
):
    async with running(cluster.kafka, "-n 128") as there:
        await there.door.ready()
        async with AsyncExitStack() as stack:
            await idle(stack, there.door.port, 400)
            assert (await there.door.call("GET", "/readyz")).status == 200
            for _ in range(20):
                refused = await get(there.door, b"/livez")
                assert refused.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        await served(there.door, b"/readyz")
