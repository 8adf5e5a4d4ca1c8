"""Connections to a broker behind TLS: left at once, whatever it has still to say."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme
from aiokafka.protocol.admin import ApiVersionRequest

from topics.kafka import compat, connection
from topics.kafka.connection import conn
from topics.telemetry.outage import Outages

AT_ONCE_SECONDS = 2.0
_NO_VERSIONS = struct.pack(">hi", 0, 0)


@pytest.fixture(autouse=True)
def _compat() -> None:
    compat.apply()


@asynccontextmanager
async def broker(authority: trustme.CA) -> AsyncIterator[int]:
    """A broker that answers one question, and then neither reads nor says goodbye."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = struct.unpack(">i", await reader.readexactly(4))[0]
        _, _, correlation = struct.unpack(">hhi", (await reader.readexactly(size))[:8])
        reply = struct.pack(">i", correlation) + _NO_VERSIONS
        writer.write(struct.pack(">i", len(reply)) + reply)
        writer.transport.pause_reading()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
        server.close()


def options(port: int, authority: trustme.CA) -> dict:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return {
        "bootstrap_servers": [f"127.0.0.1:{port}"],
        "security_protocol": "SSL",
        "ssl_context": context,
    }


async def test_nobody_waits_for_the_goodbye_of_a_broker_behind_tls():
    authority = trustme.CA()
    async with broker(authority) as port:
        how = options(port, authority)
        del how["bootstrap_servers"]
        opened = await conn.create_conn("127.0.0.1", port, **how)
        async with asyncio.timeout(AT_ONCE_SECONDS):
            await opened.close()


async def test_a_request_without_an_answer_is_an_outage_of_its_broker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(connection, "OUTAGES", Outages())
    authority = trustme.CA()
    async with broker(authority) as port:
        how = options(port, authority) | {"request_timeout_ms": 2000}
        del how["bootstrap_servers"]
        opened = await conn.create_conn("127.0.0.1", port, **how)
        assert not caplog.messages
        with pytest.raises(TimeoutError):
            await opened.send(ApiVersionRequest())
        await opened.close()
    assert caplog.messages == [
        f"event=kafka-unreachable broker=127.0.0.1:{port} reason='no answer within 2 s'"
    ]


async def test_a_certificate_of_an_unknown_authority_is_told_from_an_outage():
    authority = trustme.CA()
    async with broker(authority) as port:
        why = await connection.find_auth_error(options(port, trustme.CA()))
        assert "certificate verify failed" in str(why)
        assert await connection.find_auth_error(options(port, authority)) is None
    assert await connection.find_auth_error(options(port, authority)) is None
