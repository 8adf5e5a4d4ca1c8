"""uvloop, and aiokafka made to bear with it."""

import uvloop
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_send = AIOKafkaConnection.send


def install() -> None:
    """Have event loops be uvloop's from now on."""
    uvloop.install()
    AIOKafkaConnection.send = send


def send(connection: AIOKafkaConnection, *request: object, **options: object) -> object:
    """Send a request; fail as the client expects where the connection is just closed.

    For a moment nobody has noticed yet that it is. asyncio's transport then drops what is
    written to it; uvloop's raises a RuntimeError. Of that aiokafka's metadata task ends
    without a word, and who waits for news of a partition's leader waits for ever.
    """
    try:
        return _send(connection, *request, **options)
    except RuntimeError as error:
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
        raise KafkaConnectionError(f"{connection!r}: {error}") from error
