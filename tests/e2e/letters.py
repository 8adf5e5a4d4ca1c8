"""Records as a client sends and reads them."""

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
class Letter:
    """A record to be sent; without a partition, aiokafka chooses as Java does."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: tuple[Header, ...] = ()
    partition: int | None = None

    def with_headers(self, *more: Header) -> "Letter":
        """The same with headers before its own."""
        return replace(self, headers=(*more, *self.headers))


def said(record: ConsumerRecord) -> dict[str, Any]:
    """What a record says; nothing, if it is one of our own tests' poison."""
    try:
        value = json.loads(record.value or b"")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def int32(number: int) -> bytes:
    """A number as it stands in `kafka_replyPartition`."""
    return struct.pack(">i", number)
