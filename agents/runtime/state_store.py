"""Rows of a Faust table in RocksDB, each with the source offset that it includes.

All rows of a transaction go into the changelog as one record batch, which Kafka appends
whole or not at all. So a recovered partition is the fold of a prefix of its source log.
The prefix ends at the highest source offset of the partition's rows.

A deleted row keeps its source offset: otherwise a zombie's later write would count.

Local files are used only behind a checkpoint: the last worker left it when it stopped, a
short time ago, all rows were in the changelog, the files are unchanged, and the Kafka
cluster is the same. Otherwise they are discarded and rebuilt from the changelog.
"""

import json
import logging
import shutil
import time
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from rocksdict import (
    BlockBasedOptions,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteOptions,
)

CHECKPOINT = "at-rest.json"
MAX_CHECKPOINT_AGE = timedelta(hours=12)
"""Half of the changelog's delete.retention.ms: after that, a deletion is gone from the
changelog, and older files would keep the row for ever."""

_PARTITION_BYTES = 4
_OFFSET_BYTES = 8
_MEMTABLE_BYTES = 4 << 20  # up to two are in memory; RocksDB's default is 64 MiB
_BLOOM_BITS = 10  # of a row: of absent rows, 1 in 100 costs a read

log = logging.getLogger(__name__)


class Row(NamedTuple):
    """A changelog record: a row's JSON at a source offset; None: deleted."""

    key: bytes
    value: bytes | None
    source_offset: int


@dataclass
class PartitionOffsets:
    """Offsets of a partition's rows.

    Attributes:
        source_offset: after the last source record that the rows include.
        changelog_offset: after the last changelog record that the rows include.
        superseded: rows whose newest changelog record is a zombie's write. They are
            written again.
    """

    source_offset: int = 0
    changelog_offset: int = 0
    superseded: dict[bytes, Row] = field(default_factory=dict)


class StateStore:
    """The rows of one table, of all partitions of this worker.

    Args:
        path: a directory of its own; created, and emptied without a valid checkpoint.
        cluster: the id of the Kafka cluster of the rows.

    Attributes:
        offsets: by partition.
        pending_acks: writes that the changelog has not acknowledged yet.
    """

    def __init__(self, path: Path, cluster: str) -> None:
        self._path = path
        self._rows = path / "rows"
        self._cluster = cluster
        self.offsets: defaultdict[int, PartitionOffsets] = defaultdict(PartitionOffsets)
        self.pending_acks = 0
        self._no_wal = WriteOptions()
        # The changelog is the log. (A property, unlike in rocksdict's stubs.)
        self._no_wal.disable_wal = True  # type: ignore[assignment,method-assign]
        self._db = self._open()

    def get(self, partition: int, key: bytes) -> bytes | None:
        """Return a row's JSON; None if the row is absent or deleted."""
        stored = self._db.get(_stored_key(partition, key))
        return None if stored is None else stored[_OFFSET_BYTES:] or None

    def put(
        self, partition: int, rows: Mapping[bytes, bytes | None], source_offset: int
    ) -> None:
        """Write the rows of a transaction; None deletes a row."""
        self.pending_acks += 1
        self.write(
            partition, (Row(key, value, source_offset) for key, value in rows.items())
        )
        self.offsets[partition].source_offset = source_offset

    def row(self, partition: int, key: bytes) -> Row:
        """Return a row with its source offset, which a deleted row keeps; else 0."""
        stored = self._db.get(_stored_key(partition, key)) or b""
        source_offset = int.from_bytes(stored[:_OFFSET_BYTES], "big")
        return Row(key, stored[_OFFSET_BYTES:] or None, source_offset)

    def write(self, partition: int, rows: Iterable[Row]) -> None:
        """Write rows, each with its own source offset."""
        writes, prefix = WriteBatch(raw_mode=True), _stored_key(partition, b"")
        for key, value, source_offset in rows:
            stamp = source_offset.to_bytes(_OFFSET_BYTES, "big")
            writes.put(prefix + key, stamp + (value or b""))
        self._db.write(writes, self._no_wal)

    def rows(
        self, partition: int, begin: bytes = b"", end: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield a partition's keys and JSON, in key order, from `begin` to below `end`."""
        start, last = _range(partition, begin, end)
        reading = ReadOptions()
        reading.set_iterate_upper_bound(last)
        items: Iterator[tuple[bytes, bytes]]
        items = self._db.items(from_key=start, read_opt=reading)  # type: ignore[assignment]
        for key, stored in items:
            if value := stored[_OFFSET_BYTES:]:
                yield key[_PARTITION_BYTES:], value

    def purge(self, partition: int, begin: bytes, end: bytes) -> None:
        """Remove a range of keys, with the source offsets of deleted rows."""
        self._db.delete_range(*_range(partition, begin, end), write_opt=self._no_wal)

    @property
    def size(self) -> int:
        """Bytes of all rows, in files and in memory."""
        parts = ("rocksdb.total-sst-files-size", "rocksdb.cur-size-all-mem-tables")
        return sum(self._db.property_int_value(part) or 0 for part in parts)

    def drop_partition(self, partition: int) -> None:
        """Delete a partition's rows: another worker owns them, or they are invalid."""
        self._db.delete_range(*_range(partition), write_opt=self._no_wal)
        self.offsets.pop(partition, None)

    def close(self) -> None:
        """Close; write the checkpoint if the changelog has all rows."""
        self._db.flush()
        self._db.close()
        if self.pending_acks:
            return
        checkpoint = {
            "cluster": self._cluster,
            "at": time.time(),
            "ends": {
                partition: [offsets.source_offset, offsets.changelog_offset]
                for partition, offsets in self.offsets.items()
            },
            "files": _fingerprint(self._rows),
        }
        (self._path / CHECKPOINT).write_text(json.dumps(checkpoint))

    def _open(self) -> Rdict:
        checkpoint = self._path / CHECKPOINT
        try:
            complete = json.loads(checkpoint.read_text())
            checkpoint.unlink()  # the files change from here on
            _validate_checkpoint(complete, self._cluster, _fingerprint(self._rows))
            database = Rdict(str(self._rows), _options())
        except Exception as error:  # noqa: BLE001 -- torn, foreign or absent files
            if self._path.exists():
                log.warning(
                    "event=local-state-discarded path=%s reason=%r", self._path, error
                )
            shutil.rmtree(self._path, ignore_errors=True)
            self._path.mkdir(parents=True)
            return Rdict(str(self._rows), _options())
        for partition, offsets in complete["ends"].items():
            self.offsets[int(partition)] = PartitionOffsets(*offsets)
        return database


def _fingerprint(directory: Path) -> dict[str, list[int]]:
    """Return the size and the checksum of each file of a closed database.

    RocksDB opens a database with a truncated MANIFEST, without its newest files. RocksDB
    itself checks each block of the row files.
    """
    return {
        file.name: [
            file.stat().st_size,
            0 if file.suffix == ".sst" else zlib.crc32(file.read_bytes()),
        ]
        for file in directory.iterdir()
        if not file.name.startswith("LOG")  # RocksDB's own log
    }


def _validate_checkpoint(
    complete: Mapping[str, Any], cluster: str, files: Mapping[str, list[int]]
) -> None:
    if complete["cluster"] != cluster:
        raise ValueError("rows of another cluster")
    if complete["files"] != files:
        raise ValueError("files have changed since the checkpoint")
    age = time.time() - complete["at"]
    if not 0 <= age <= MAX_CHECKPOINT_AGE.total_seconds():
        raise ValueError(f"checkpoint is {age:.0f} s old")


def _stored_key(partition: int, key: bytes) -> bytes:
    return partition.to_bytes(_PARTITION_BYTES, "big") + key


def _range(
    partition: int, begin: bytes = b"", end: bytes | None = None
) -> tuple[bytes, bytes]:
    last = _stored_key(partition + 1, b"") if end is None else _stored_key(partition, end)
    return _stored_key(partition, begin), last


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(_MEMTABLE_BYTES)
    table = BlockBasedOptions()
    table.set_bloom_filter(_BLOOM_BITS, block_based=False)
    options.set_block_based_table_factory(table)
    return options
