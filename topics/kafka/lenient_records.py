"""Decodes records whose header names are no UTF-8.

Brokers accept any bytes as a header's name. aiokafka decodes it as UTF-8, and its error
ends each fetch at the same offset. So one such record would stop its partition for ever.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy


class LenientRecords(_MemoryRecordsPy):
    """Fetched bytes as record batches; replaces aiokafka's `MemoryRecords`."""

    def next_batch(self, *_: Any) -> Any:
        """Return the next batch; None at the end."""
        piece = self._next_slice
        batch = super().next_batch()
        return batch if batch is None else _LenientBatch(batch, piece)


class _LenientBatch:
    """A batch that is decoded again, slowly, where the usual decoder fails."""

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
            batch = _DefaultRecordBatchPy(self._piece)
            batch._maybe_uncompress()
            batch._buffer = _LenientBytes(batch._buffer)
            yield from islice(batch, read, None)


class _LenientBytes(bytearray):
    """Bytes whose decoding escapes invalid UTF-8."""

    def __getitem__(self, where: Any) -> Any:
        part = super().__getitem__(where)
        return _LenientBytes(part) if isinstance(where, slice) else part

    def decode(self, *_: Any) -> str:
        return super().decode("utf-8", "backslashreplace")
