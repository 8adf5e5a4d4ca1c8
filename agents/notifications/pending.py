"""The rows of the notifications table: outcomes of events, and pending deliveries.

The key of an event's row is its id. For each transport that has not delivered the event
there is a pending row. Its key is `transport/offset/order`, in the order of `order.events`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import orjson
from aiokafka.structs import ConsumerRecord

from schemas.order import OrderStatusChanged
from topics.kafka.headers import EVENT_ID, TRACE

PENDING = "pending"
SENT = "sent"
OPTED_OUT = "opted out"

MAX_ROW_BYTES = 128 * 2**10
_MAX_KNOWN_BYTES = 4 * 2**10
_KNOWN_HEADERS = (EVENT_ID, *TRACE)

_OFFSET_DIGITS = 19  # of an int64, so that keys sort as offsets do


@dataclass(frozen=True, slots=True)
class PendingDelivery:
    """An event that a transport has to deliver.

    Attributes:
        key: the key of its row.
        event: the event to deliver.
        record: the record of the event, for a dead letter and the trace.
        is_cut: whether parts of the record were dropped, since it was too large.
    """

    key: bytes
    event: OrderStatusChanged
    record: ConsumerRecord
    is_cut: bool = False


def prefix(transport: str) -> bytes:
    """Return the prefix of the keys of a transport's pending rows."""
    return f"{transport}/".encode()


def pending_key(transport: str, offset: int, order_id: int) -> bytes:
    """Return the key of a pending row."""
    return f"{transport}/{offset:0{_OFFSET_DIGITS}}/{order_id}".encode()


def order_of(key: bytes) -> int:
    """Return the order of a pending row's key."""
    return int(key.rpartition(b"/")[2])


def encode(record: ConsumerRecord, event: OrderStatusChanged) -> bytes:
    """Return the JSON of a pending row: the record, byte for byte.

    Keys and headers are any bytes, stored as Latin-1. Records of LOMS are smaller than
    `MAX_ROW_BYTES`; of a larger record only the event and its known headers are stored.
    """
    row = _encoded(record.value, record)
    if len(row) <= MAX_ROW_BYTES:
        return row
    known = [(name, value) for name, value in record.headers if name in _KNOWN_HEADERS]
    fits = sum(len(value or b"") for _, value in known) <= _MAX_KNOWN_BYTES
    plain = replace(record, key=None, headers=known if fits else ())
    return _encoded(event.to_json(), plain, is_cut=True)


def _encoded(value: bytes, record: ConsumerRecord, **more: bool) -> bytes:
    row = {
        "value": value.decode(),
        "key": _text(record.key),
        "headers": [[name, _text(value)] for name, value in record.headers],
        "timestamp": record.timestamp,
    }
    return orjson.dumps(row | more)


def decode(topic: str, partition: int, key: bytes, row: bytes) -> PendingDelivery:
    """Decode a pending row of a partition of a topic."""
    fields = orjson.loads(row)
    value = fields["value"].encode()
    record_key = _bytes(fields["key"])
    record = ConsumerRecord(
        topic=topic,
        partition=partition,
        offset=int(key.split(b"/")[1]),
        timestamp=fields["timestamp"],
        timestamp_type=0,
        key=record_key,
        value=value,
        checksum=None,
        serialized_key_size=len(record_key or b""),
        serialized_value_size=len(value),
        headers=tuple((name, _bytes(text)) for name, text in fields["headers"]),
    )
    event = OrderStatusChanged.model_validate_json(value)
    return PendingDelivery(key, event, record, fields.get("is_cut", False))


def event_row(event: OrderStatusChanged, outcome: str, transports: Iterable[str]) -> bytes:
    """Return the first row of an event.

    Args:
        event: the event.
        outcome: the outcome if no transport has to deliver the event.
        transports: the transports that have to deliver it.
    """
    row: dict[str, Any] = {"at": event.at.isoformat(), "outcome": outcome}
    if outcomes := dict.fromkeys(transports, PENDING):
        row |= {"outcome": PENDING, "transports": outcomes}
    return orjson.dumps(row)


def with_outcome(row: bytes, transport: str, outcome: str) -> bytes:
    """Return the row of an event with the outcome of a transport."""
    fields = orjson.loads(row)
    outcomes = fields["transports"] | {transport: outcome}
    return orjson.dumps(
        fields | {"outcome": _overall(outcomes.values()), "transports": outcomes}
    )


def _overall(outcomes: Iterable[str]) -> str:
    different = set(outcomes)
    if PENDING in different:
        return PENDING
    refusals = sorted(different - {SENT, OPTED_OUT})
    return "; ".join(refusals) or (OPTED_OUT if OPTED_OUT in different else SENT)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("latin-1")
