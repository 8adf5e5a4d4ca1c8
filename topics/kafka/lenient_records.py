"""Reading records whose header names are no text, which aiokafka can't.

Brokers take any bytes for a header's name. aiokafka decodes it as UTF-8 and raises out of
the fetch, for ever at the same offset: one such record would stop its partition (R7).
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy


class LenientRecords(_MemoryRecordsPy):
    """Fetched bytes as record batches; to stand in for aiokafka's `MemoryRecords`."""

    def next_batch(self, *_: Any) -> Any:
        """Return the next batch; None at the end."""
        piece = self._next_slice
        batch = super().next_batch()
        return batch if batch is None else _LenientBatch(batch, piece)


class _LenientBatch:
    """A batch that is read once more, slowly, if it can't be read as usual."""

    def __init__(self, batch: Any, piece: memoryview) -> None:
        self._batch = batch
        self._piece = piece

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        read = 0
        try:
            for record in self._batch:
                read += 1
                yield record
        except UnicodeDecodeError:
            yield from islice(self._decode_escaped(), read, None)

    def _decode_escaped(self) -> Iterator[Any]:
        batch = _DefaultRecordBatchPy(self._piece)
        batch._maybe_uncompress()
        batch._buffer = _LenientBytes(batch._buffer)
        return iter(batch)


class _LenientBytes(bytearray):
    """Bytes that can always be decoded; what is no UTF-8 is escaped."""

    def __getitem__(self, where: Any) -> Any:
        part = super().__getitem__(where)
        return _LenientBytes(part) if isinstance(where, slice) else part

    def decode(self, *_: Any) -> str:
        return super().decode("utf-8", "backslashreplace")
