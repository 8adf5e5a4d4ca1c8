"""A connection to a broker that has just been closed, on uvloop."""

import asyncio
import socket
import struct
from collections.abc import Callable

import pytest
import uvloop
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from topics.kafka import compat
from topics.kafka.connection import conn


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a reset, as the system does for a killed process with unread data."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.close()


def _versions(correlation_id: bytes) -> bytes:
    """Return a response with the versions of Metadata alone, as a broker sends it."""
    response = correlation_id + struct.pack(
        ">hihhh", 0, 1, MetadataRequest([]).API_KEY, 0, 5
    )
    return struct.pack(">i", len(response)) + response


@pytest.mark.parametrize("turns", [0, 2])
def test_a_request_over_a_closed_connection_raises_the_error_that_aiokafka_expects(
    kafka: str, turns: int
):
    """At once, and after the turns of the loop in which the connection notices the end."""
    compat.apply()

    async def send_after_the_end() -> None:
        connection = await conn.create_conn(*kafka.split(":"))
        connection._writer.transport.abort()  # noqa: SLF001
        for _ in range(turns):
            await asyncio.sleep(0)
        with pytest.raises(
            KafkaConnectionError, match="No connection" if turns else "closed"
        ):
            await connection.send(MetadataRequest([]))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(send_after_the_end())


@pytest.mark.parametrize("end", [asyncio.StreamWriter.close, _reset])
def test_a_connection_that_is_closed_at_once_fails_without_waiting_for_a_timeout(
    end: Callable[[asyncio.StreamWriter], None],
):
    """A broker may be killed when it has just sent the versions of its messages."""
    compat.apply()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(4), "big")
        request = await reader.readexactly(size)
        writer.write(_versions(correlation_id=request[4:8]))
        end(writer)

    async def connect_and_send(address: tuple[str, int]) -> None:
        connection = await conn.create_conn(*address)
        await connection.send(MetadataRequest([]))

    async def try_to_send() -> None:
        async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
            address = server.sockets[0].getsockname()
            with pytest.raises(KafkaConnectionError):
                await asyncio.wait_for(connect_and_send(address), timeout=10)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(try_to_send())
