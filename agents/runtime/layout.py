"""Keys and values of stored rows.

A key begins with its partition. Then follow, in this order: nothing, for the progress; the
index; the marks of deleted rows, by time; the rows. A value is a source offset, and JSON
or, of a deleted row, the time of the deletion.
"""

from datetime import UTC, datetime, timedelta

from agents.runtime.rows import Row

PARTITION_BYTES = 4
OFFSET_BYTES = 8
INDEX, MARKS, ROWS = b"\0", b"\1", b"\2"

ENTRY_BEGIN = PARTITION_BYTES + 1
"""Of the time in a stored key of the index or the marks."""

_TIME_BYTES = 8  # of seconds, so the first byte is zero
_NO_JSON = (b"", b"\0")
_MARK_TIME_END = ENTRY_BEGIN + _TIME_BYTES
_EPOCH = datetime.fromtimestamp(0, UTC)


def stored_key(partition: int, key: bytes = b"") -> bytes:
    """Return the key under which a partition's key is stored."""
    return partition.to_bytes(PARTITION_BYTES, "big") + key


def key_range(partition: int, begin: bytes, end: bytes | None) -> tuple[bytes, bytes]:
    """Return a range as stored keys; it ends with the partition if `end` is None."""
    last = stored_key(partition + 1) if end is None else stored_key(partition, end)
    return stored_key(partition, begin), last


def json_of(stored: bytes) -> bytes | None:
    """Return the JSON of a stored row; None of a mark."""
    value = value_of(stored)
    return None if value[:1] in _NO_JSON else value


def row_of(key: bytes, stored: bytes) -> Row:
    """Return a stored row or mark with its source offset; 0 if nothing is stored."""
    return Row(key, json_of(stored), int.from_bytes(stored[:OFFSET_BYTES], "big"))


def value_of(stored: bytes) -> bytes:
    """Return the JSON of a stored row, or the time of a mark."""
    return stored[OFFSET_BYTES:]


def encode_time(seconds: float) -> bytes:
    """Return the time of a mark, which sorts as times do."""
    return int(seconds).to_bytes(_TIME_BYTES, "big")


def split_mark(stored: bytes) -> tuple[bytes, bytes]:
    """Return the time in a stored key of the marks, and the key of the deleted row."""
    return stored[ENTRY_BEGIN:_MARK_TIME_END], stored[_MARK_TIME_END:]


def index_value(at: datetime) -> bytes:
    """Return a time as text that sorts as times do."""
    return b"%016d" % max(0, (at - _EPOCH) // timedelta(microseconds=1))
