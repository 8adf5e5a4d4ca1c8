"""A RocksDB database that is used again only if its format is right and its files are.

It has no write-ahead log: a crash loses the newest writes, and what remains is a prefix of
them. RocksDB itself syncs files before it refers to them, and checks each block.
"""

import logging
import shutil
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from rocksdict import (
    BlockBasedOptions,
    Cache,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteOptions,
)

FORMAT_KEY = b"\xff\xff\xff\xffformat"
"""Behind all other keys."""

_MEMTABLE_BYTES = 4 << 20  # up to two are in memory; RocksDB's default is 64 MiB
_CACHE_BYTES = 8 << 20
"""Of blocks of files, which the system caches too; RocksDB's default is 32 MiB."""

_LOG_BYTES = 1 << 20
_LOGS = 2
"""RocksDB's own logs, one for each start too: by default they grow for ever."""

_BLOOM_BITS = 10  # of a row: of absent rows, 1 in 100 costs a read

log = logging.getLogger(__name__)


class Database:
    """Keys and values, in a directory of its own; unusable files are discarded.

    Args:
        file_format: of the keys and values; files of another one are unusable.
    """

    def __init__(self, path: Path, file_format: bytes) -> None:
        self._path = path
        self._format = file_format
        self._damage = _DamageMark(path / "damaged")
        self._no_wal = WriteOptions()
        # A property, unlike in rocksdict's stubs.
        self._no_wal.disable_wal = True  # type: ignore[assignment,method-assign]
        self._rows = self._open()

    def get(self, key: bytes) -> bytes:
        """Return a value; empty if there is none."""
        try:  # a context manager would cost a third of the read
            return self._rows.get(key) or b""
        except Exception as error:
            self._damage.mark(error)
            raise

    def scan(self, begin: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and values in order; rocksdict's `items` ends silently at damage."""
        reading = ReadOptions()
        reading.set_iterate_upper_bound(end)
        with self._damage:
            position = self._rows.iter(reading)
            position.seek(begin)
            while position.valid():
                yield position.key(), position.value()
                position.next()
            position.status()

    def write(self, pairs: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Write values, all of them or none; None deletes a key."""
        batch = WriteBatch(raw_mode=True)
        for key, value in pairs:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        with self._damage:
            self._rows.write(batch, self._no_wal)

    def delete_range(self, begin: bytes, end: bytes) -> None:
        """Delete the keys of a range, without reading them."""
        with self._damage:
            self._rows.delete_range(begin, end, write_opt=self._no_wal)

    def flush(self, *, wait: bool) -> None:
        """Write into files what is in memory, if anything is."""
        with self._damage:
            self._rows.flush(wait)

    def close(self) -> None:
        """Flush and close."""
        self.flush(wait=True)
        self._rows.close()

    @property
    def size(self) -> int:
        """Bytes in files and in memory."""
        parts = ("rocksdb.total-sst-files-size", "rocksdb.cur-size-all-mem-tables")
        return sum(self._rows.property_int_value(part) or 0 for part in parts)

    def _open(self) -> Rdict:
        files = str(self._path / "rows")
        if self._path.exists():
            try:
                return self._reopen(files)
            except Exception as error:  # noqa: BLE001 -- torn, foreign or absent files
                text = "event=local-state-discarded path=%s reason=%r"
                log.warning(text, self._path, error)
                shutil.rmtree(self._path, ignore_errors=True)
        self._path.mkdir(parents=True)
        rows = Rdict(files, _options())
        rows.put(FORMAT_KEY, self._format, write_opt=self._no_wal)
        rows.flush()
        return rows

    def _reopen(self, files: str) -> Rdict:
        if self._damage.path.exists():
            raise ValueError(self._damage.path.read_text())
        with ExitStack() as unusable:
            rows = Rdict(files, _options())
            unusable.callback(rows.close)
            if (found := rows.get(FORMAT_KEY)) != self._format:
                raise ValueError(f"format {found!r} instead of {self._format!r}")
            unusable.pop_all()
        return rows


class _DamageMark(AbstractContextManager[None]):
    """Marks a directory in which RocksDB finds corruption, so that it is discarded.

    The exception ends the worker. The next one would open the files without an error.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None:
            self.mark(error)

    def mark(self, error: BaseException) -> None:
        """Mark the directory if an error is of corruption."""
        if str(error).startswith("Corruption"):
            self.path.write_text(str(error))


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(_MEMTABLE_BYTES)
    options.set_max_log_file_size(_LOG_BYTES)
    options.set_keep_log_file_num(_LOGS)
    table = BlockBasedOptions()
    table.set_bloom_filter(_BLOOM_BITS, block_based=False)
    table.set_block_cache(Cache(_CACHE_BYTES))
    options.set_block_based_table_factory(table)
    return options
