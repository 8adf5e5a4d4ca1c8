"""Records that a client sends and receives."""

import json
import struct
from dataclasses import dataclass, replace
from typing import Any

from aiokafka import ConsumerRecord

CORRELATION_ID = "kafka_correlationId"
REPLY_TOPIC = "kafka_replyTopic"
REPLY_PARTITION = "kafka_replyPartition"

Header = tuple[str, bytes | None]


@dataclass(frozen=True)
class Record:
    """A record to be sent; without a partition, aiokafka chooses as Java's client does."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: tuple[Header, ...] = ()
    partition: int | None = None

    def with_headers(self, *more: Header) -> "Record":
        """Return the record with more headers in front of its own."""
        return replace(self, headers=(*more, *self.headers))


def body_of(record: ConsumerRecord) -> dict[str, Any]:
    """Return the body of a record; empty if it is no JSON object."""
    try:
        value = json.loads(record.value or b"")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def int32(number: int) -> bytes:
    """Return a number as the bytes of `kafka_replyPartition`."""
    return struct.pack(">i", number)
