"""Connections to a broker behind TLS that stops responding."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

from topics.kafka import compat
from topics.kafka import connection as connections
from topics.kafka.connection import Connection, Outages, connect, find_auth_error

AT_ONCE_SECONDS = 2.0
_NO_VERSIONS = struct.pack(">hi", 0, 0)


@pytest.fixture(autouse=True)
def _compat() -> None:
    compat.apply()


@asynccontextmanager
async def broker(authority: trustme.CA, *, stays: bool = True) -> AsyncIterator[int]:
    """Start a broker that answers one request; then it neither reads nor closes.

    Args:
        authority: signs its certificate.
        stays: whether the second request is ignored; else it closes the connection.
    """
    writers = []  # Python 3.13 closes the connection of a writer without references

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        correlation_id = await read_request(reader)
        reply = struct.pack(">i", correlation_id) + _NO_VERSIONS
        writer.write(struct.pack(">i", len(reply)) + reply)
        if stays:
            writer.transport.pause_reading()
        else:
            await read_request(reader)
            writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
        server.close()
        for writer in writers:
            writer.transport.abort()


async def read_request(reader: asyncio.StreamReader) -> int:
    """Return the correlation id of the next request."""
    [size] = struct.unpack(">i", await reader.readexactly(4))
    _, _, correlation_id = struct.unpack(">hhi", (await reader.readexactly(size))[:8])
    return correlation_id


def options(port: int, authority: trustme.CA) -> dict:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return {
        "bootstrap_servers": [f"127.0.0.1:{port}"],
        "security_protocol": "SSL",
        "ssl_context": context,
    }


@asynccontextmanager
async def opened(authority: trustme.CA, **how: object) -> AsyncIterator[Connection]:
    async with broker(authority, **how) as port:
        limits = {"request_timeout_ms": 2000}
        yield await connect(f"127.0.0.1:{port}", options(port, authority) | limits)


async def test_a_close_behind_tls_does_not_wait_for_the_broker():
    async with opened(trustme.CA()) as connection, asyncio.timeout(AT_ONCE_SECONDS):
        await connection.close()


@pytest.mark.parametrize(
    ("stays", "error", "reason"),
    [
        (True, TimeoutError, "no answer within 2 s"),
        (False, KafkaConnectionError, "the broker closed the connection"),
    ],
)
async def test_a_request_without_an_answer_is_an_outage_of_its_broker(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    stays: bool,
    error: type[Exception],
    reason: str,
):
    monkeypatch.setattr(connections, "OUTAGES", Outages())
    async with opened(trustme.CA(), stays=stays) as connection:
        assert not caplog.messages
        with pytest.raises(error):
            await connection.send(ApiVersionRequest())
        await connection.close()
    assert caplog.messages == [
        f"event=kafka-unreachable broker={connection.address} reason={reason!r}"
    ]


async def test_a_certificate_of_an_unknown_authority_is_no_outage():
    authority = trustme.CA()
    async with broker(authority) as port:
        error = await find_auth_error(options(port, trustme.CA()))
        assert "certificate verify failed" in str(error)
        assert await find_auth_error(options(port, authority)) is None
    assert await find_auth_error(options(port, authority)) is None
