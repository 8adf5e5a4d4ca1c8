"""A connection to a broker that has just been closed, on uvloop."""

import asyncio

import pytest
import uvloop
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from topics.kafka import compat
from topics.kafka.connection import conn


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
