"""What a gateway logs: one line for whatever went wrong."""

import logging
import time
from datetime import timedelta

from topics import logs

QUIET = timedelta(seconds=10)
# While Kafka is away or files run out, these log several times a second.
TALKATIVE = ("aiokafka", "gateway.inbox", "gateway.outbox", "gateway.connection")


class Calm(logging.Filter):
    """Lets a message of a talkative logger through only once in a while."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a message, whatever its arguments, is worth a line."""
        if not record.name.startswith(TALKATIVE):
            return True
        now = time.monotonic()
        told = self._told.get(record.msg)
        if told is not None and now - told < QUIET.total_seconds():
            return False
        self._told[record.msg] = now
        return True


def configure() -> None:
    """Log to the standard error, Kafka's client in moderation."""
    logs.configure("gateway")
    for handler in logging.getLogger().handlers:
        handler.addFilter(Calm())
