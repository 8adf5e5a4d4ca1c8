"""Pending deliveries: for each transport a row of each event that it has not delivered.

The key is `transport/offset/order`, in the order of `order.events`.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from itertools import islice

import orjson
from aiokafka.structs import ConsumerRecord

from agents.runtime.state_store import StateStore
from schemas.order import OrderStatusChanged
from topics.catalog import ORDER_EVENTS
from topics.kafka.headers import EVENT_ID, TRACE

PENDING = "pending"

CHUNK = 256
"""Keys of one read."""

MAX_KEYS = 10_000
"""Limit of a partition's keys in memory. So many rows of failing orders block others."""

MAX_ROW_BYTES = 128 * 2**10
_MAX_KNOWN_BYTES = 4 * 2**10
_KNOWN_HEADERS = (EVENT_ID, *TRACE)
_OFFSET_DIGITS = 19  # of an int64, so that keys sort as offsets do


@dataclass(frozen=True, slots=True)
class PendingDelivery:
    """An event that a transport has to deliver.

    Attributes:
        record: the record of the event, for a dead letter and the trace.
        is_cut: whether parts of the record were dropped, since it was too large.
    """

    key: bytes
    event: OrderStatusChanged
    record: ConsumerRecord
    is_cut: bool = False


def pending_key(transport: str, offset: int, order_id: int | str = "") -> bytes:
    """Return the key of a pending row; without an order, the least key of an offset."""
    return f"{transport}/{offset:0{_OFFSET_DIGITS}}/{order_id}".encode()


def order_of(key: bytes) -> int:
    """Return the order of a pending row's key."""
    return int(key.rpartition(b"/")[2])


def encode(record: ConsumerRecord, event: OrderStatusChanged) -> bytes:
    """Return the JSON of a pending row: the record, byte for byte.

    Keys and headers are any bytes, stored as Latin-1. Records of LOMS are smaller than
    `MAX_ROW_BYTES`; of a larger record only the event and its known headers are stored.
    """
    row = _encode(record)
    if len(row) <= MAX_ROW_BYTES:
        return row
    known = [(name, value) for name, value in record.headers if name in _KNOWN_HEADERS]
    fits = sum(len(value or b"") for _, value in known) <= _MAX_KNOWN_BYTES
    headers = known if fits else ()
    cut = replace(record, key=None, value=event.to_json(), headers=headers)
    return _encode(cut, is_cut=True)


def _encode(record: ConsumerRecord, **more: bool) -> bytes:
    row = {
        "value": record.value.decode(),
        "key": record.key,
        "headers": record.headers,
        "timestamp": record.timestamp,
    }
    return orjson.dumps(row | more, default=lambda value: value.decode("latin-1"))


def decode(partition: int, key: bytes, row: bytes) -> PendingDelivery:
    """Decode a pending row of a partition."""
    fields = orjson.loads(row)
    value = fields["value"].encode()
    record = ConsumerRecord(
        topic=ORDER_EVENTS.name,
        partition=partition,
        offset=int(key.split(b"/")[1]),
        timestamp=fields["timestamp"],
        timestamp_type=0,
        key=_bytes(fields["key"]),
        value=value,
        checksum=None,
        serialized_key_size=-1,
        serialized_value_size=-1,
        headers=tuple((name, _bytes(text)) for name, text in fields["headers"]),
    )
    event = OrderStatusChanged.model_validate_json(value)
    return PendingDelivery(key, event, record, fields.get("is_cut", False))


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("latin-1")


class PendingRows:
    """The pending rows of one transport and partition; few of their keys are in memory.

    Attributes:
        count: the number of rows, once `count_stored` has ended.
        orders: the keys in memory by order, in log order. The first is in delivery.
        added: to be set when rows were added.
    """

    def __init__(self, store: StateStore, transport: str, partition: int) -> None:
        self.partition = partition
        self.count = 0
        self.orders: dict[int, list[bytes]] = {}
        self.added = asyncio.Event()
        self._store = store
        self._transport = transport
        self._begin = self._next = self._purge_end = f"{transport}/".encode()
        self._end = f"{transport}0".encode()  # 0 is the character after /
        self._capacity = asyncio.Semaphore(MAX_KEYS)

    async def count_stored(self) -> None:
        """Count the rows that are stored now, without blocking other tasks."""
        stored = self._store.offsets[self.partition].stored
        begin, end = self._begin, pending_key(self._transport, stored.source_offset)
        while keys := self._keys(begin, end, CHUNK):
            self.count += len(keys)
            begin = keys[-1] + b"\0"
            await asyncio.sleep(0)

    async def new_orders(self) -> AsyncIterator[int]:
        """Yield each order with a pending row, in log order and without end.

        Further rows of an order that is in memory are appended to its keys.
        """
        while True:
            self.added.clear()
            keys = self._keys(self._next, self._end, CHUNK)
            for key in keys:
                await self._capacity.acquire()
                order, self._next = order_of(key), key + b"\0"
                if order in self.orders:
                    self.orders[order].append(key)
                else:
                    self.orders[order] = [key]
                    yield order
            if not keys:
                await self.added.wait()

    def complete(self, order: int) -> bool:
        """Remove an order's first key; return whether another one follows in memory."""
        keys = self.orders[order]
        keys.pop(0)
        if not keys:
            del self.orders[order]
        self.count -= 1
        self._capacity.release()
        return bool(keys)

    def first(self, order: int) -> PendingDelivery:
        """Return the first pending delivery of an order in memory."""
        key = self.orders[order][0]
        row = self._store.get(self.partition, key)
        if row is None:
            raise KeyError(key)
        return decode(self.partition, key, row)

    def age(self) -> float:
        """Return the seconds since the oldest event; 0 without one."""
        row = self._store.get(self.partition, self._oldest)
        if row is None:  # there is none, or its removal is in flight
            return 0.0
        oldest = decode(self.partition, self._oldest, row).event
        return max(0.0, time.time() - oldest.at.timestamp())

    def purge(self) -> None:
        """Drop the tombstones of rows that were complete at the last call.

        The time between two calls is longer than a worker can be paused.
        """
        self._store.purge(self.partition, self._begin, self._purge_end)
        self._purge_end = self._oldest

    @property
    def _oldest(self) -> bytes:
        """The oldest key in memory; without one, the next key to be read."""
        return min((keys[0] for keys in self.orders.values()), default=self._next)

    def _keys(self, begin: bytes, end: bytes, limit: int) -> list[bytes]:
        return [k for k, _ in islice(self._store.rows(self.partition, begin, end), limit)]
