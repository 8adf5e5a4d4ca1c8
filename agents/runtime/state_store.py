"""What lies under a Faust table: RocksDB rows that know which record wrote them.

A row's version is the offset after the source record that it includes. All rows that a
fold of records wrote go into the changelog as one record batch, which Kafka appends whole
or not at all, so a recovered partition is exactly the fold of a prefix of its log: that
prefix ends at the partition's version, the highest of its rows' (design: R4).

A row that is no more leaves its version behind, or a frozen worker's last words about it
would count.

The local files are never trusted beyond the changelog (R5): they are used only if the last
worker marked them as complete when it stopped, if that is not long ago, if they are still
the same, and of the same Kafka cluster; else they are thrown away and rebuilt.
"""

import json
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
"""For a day a changelog says of a row that it is no more (delete.retention.ms), and then
nothing: older files would have it for ever."""

_PARTITION_BYTES = 4
_OFFSET_BYTES = 8
_MEMTABLE_BYTES = 4 << 20
"""RocksDB holds new rows in memory up to this, twice; its default is 64 MiB."""

_BLOOM_BITS = 10
"""Of a filter for each row: of rows that are not there, a file is asked for one in 100."""


class Row(NamedTuple):
    """A changelog record: a row's JSON as it was at a version; None if it was deleted."""

    key: bytes
    value: bytes | None
    source_offset: int


@dataclass
class PartitionOffsets:
    """How far a partition's rows go.

    Attributes:
        version: the offset after the last source record that is folded in.
        next_offset: of the changelog, after the last record that is in here.
        overtaken: rows whose newest changelog record is not their highest version: a
            frozen worker's last words. They are to be written again.
    """

    source_offset: int = 0
    changelog_offset: int = 0
    superseded: dict[bytes, Row] = field(default_factory=dict)


class StateStore:
    """The rows of one table, of all partitions that this worker has.

    Args:
        path: a directory of its own; created, and emptied if it can't be trusted.
        cluster: the id of the Kafka cluster of which they are rows.

    Attributes:
        progress: how far the rows go, by partition.
        unacknowledged: what was put in here and is not in the changelog for sure.
    """

    def __init__(self, path: Path, cluster: str) -> None:
        self._path = path
        self._rows = path / "rows"
        self._cluster = cluster
        self.offsets: defaultdict[int, PartitionOffsets] = defaultdict(PartitionOffsets)
        self.pending_acks = 0
        self._no_wal = WriteOptions()
        # The changelog is the log. (A property, whatever rocksdict's stubs say.)
        self._no_wal.disable_wal = True  # type: ignore[assignment,method-assign]
        self._db = self._open()

    def get(self, partition: int, key: bytes) -> bytes | None:
        """Return a row's JSON; None if there is no such row, or no more."""
        stored = self._db.get(_stored_key(partition, key))
        return None if stored is None else stored[_OFFSET_BYTES:] or None

    def put(
        self, partition: int, rows: Mapping[bytes, bytes | None], source_offset: int
    ) -> None:
        """Write what a fold of records came to; None deletes a row."""
        self.pending_acks += 1
        self._write(
            partition, (Row(key, value, source_offset) for key, value in rows.items())
        )
        self.offsets[partition].source_offset = source_offset

    def recover(self, partition: int, rows: Iterable[Row], changelog_offset: int) -> None:
        """Apply changelog records in log order; of each row the highest version stays."""
        offsets, newest = self.offsets[partition], dict[bytes, Row]()
        for row in rows:
            if (
                row.source_offset < offsets.source_offset
            ):  # else none that is here can be higher
                newest_known = newest.get(row.key) or offsets.superseded.get(row.key)
                newest_known = newest_known or self._row(partition, row.key)
                if row.source_offset < newest_known.source_offset:
                    offsets.superseded[row.key] = newest_known
                    continue
            newest[row.key] = row
            offsets.superseded.pop(row.key, None)
            offsets.source_offset = max(offsets.source_offset, row.source_offset)
        self._write(partition, newest.values())
        offsets.changelog_offset = changelog_offset

    def rows(
        self, partition: int, begin: bytes = b"", end: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over a partition's keys and JSON, in key order.

        Args:
            partition: of the rows.
            begin: the least key.
            end: all keys are less; None: no limit.
        """
        start, last = _stored_key(partition, begin), _stored_key(partition + 1, b"")
        reading = ReadOptions()
        reading.set_iterate_upper_bound(
            last if end is None else _stored_key(partition, end)
        )
        items: Iterator[tuple[bytes, bytes]]
        items = self._db.items(from_key=start, read_opt=reading)  # type: ignore[assignment]
        for key, stored in items:
            if value := stored[_OFFSET_BYTES:]:
                yield key[_PARTITION_BYTES:], value

    def purge(self, partition: int, begin: bytes, end: bytes) -> None:
        """Drop rows that are no more for good, with the versions that they left behind."""
        first, last = _stored_key(partition, begin), _stored_key(partition, end)
        self._db.delete_range(first, last, write_opt=self._no_wal)

    @property
    def size(self) -> int:
        """Bytes of all rows, in files and in memory."""
        parts = ("rocksdb.total-sst-files-size", "rocksdb.cur-size-all-mem-tables")
        return sum(self._db.property_int_value(part) or 0 for part in parts)

    def drop_partition(self, partition: int) -> None:
        """Drop a partition's rows; another worker has them now, or they are wrong."""
        first, last = _stored_key(partition, b""), _stored_key(partition + 1, b"")
        self._db.delete_range(first, last, write_opt=self._no_wal)
        self.offsets.pop(partition, None)

    def close(self) -> None:
        """Close, and mark the files as complete if the changelog has all of it."""
        self._db.flush()
        self._db.close()
        if self.pending_acks:
            return
        ends = {
            partition: [offsets.source_offset, offsets.changelog_offset]
            for partition, offsets in self.offsets.items()
        }
        complete = {
            "cluster": self._cluster,
            "at": time.time(),
            "ends": ends,
            "files": _fingerprint(self._rows),
        }
        (self._path / CHECKPOINT).write_text(json.dumps(complete))

    def _open(self) -> Rdict:
        marker = self._path / CHECKPOINT
        try:
            complete = json.loads(marker.read_text())
            marker.unlink()  # from here on the files are ahead of nothing but a crash
            _validate_checkpoint(complete, self._cluster, _fingerprint(self._rows))
            database = Rdict(str(self._rows), _options())
        except Exception:  # noqa: BLE001 -- torn, alien or missing: the changelog has it all
            shutil.rmtree(self._path, ignore_errors=True)
            self._path.mkdir(parents=True)
            return Rdict(str(self._rows), _options())
        for partition, (source_offset, next_offset) in complete["ends"].items():
            self.offsets[int(partition)] = PartitionOffsets(source_offset, next_offset)
        return database

    def _row(self, partition: int, key: bytes) -> Row:
        stored = self._db.get(_stored_key(partition, key)) or b""
        source_offset = int.from_bytes(stored[:_OFFSET_BYTES], "big")
        return Row(key, stored[_OFFSET_BYTES:] or None, source_offset)

    def _write(self, partition: int, rows: Iterable[Row]) -> None:
        writes, prefix = WriteBatch(raw_mode=True), _stored_key(partition, b"")
        for key, value, source_offset in rows:
            stamp = source_offset.to_bytes(_OFFSET_BYTES, "big")
            writes.put(prefix + key, stamp + (value or b""))
        self._db.write(writes, self._no_wal)


def _fingerprint(directory: Path) -> dict[str, list[int]]:
    """Return the size of each file of a database at rest, and what its bytes add up to.

    RocksDB opens one whose list of files was cut, and takes what was added last for never
    written. The rows' own files it checks itself, block by block, whenever it reads them.
    """
    return {
        file.name: [
            file.stat().st_size,
            0 if file.suffix == ".sst" else zlib.crc32(file.read_bytes()),
        ]
        for file in directory.iterdir()
        if not file.name.startswith("LOG")  # what RocksDB says for people
    }


def _validate_checkpoint(
    complete: Mapping[str, Any], cluster: str, files: Mapping[str, list[int]]
) -> None:
    """Check that files are those that were marked as complete.

    Raises:
        ValueError: they are not, too old, or rows of another cluster.
    """
    if complete["cluster"] != cluster or complete["files"] != files:
        raise ValueError("not what was left here")
    if not 0 <= time.time() - complete["at"] <= MAX_CHECKPOINT_AGE.total_seconds():
        raise ValueError("left here too long ago")


def _stored_key(partition: int, key: bytes) -> bytes:
    return partition.to_bytes(_PARTITION_BYTES, "big") + key


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(_MEMTABLE_BYTES)
    table = BlockBasedOptions()
    table.set_bloom_filter(_BLOOM_BITS, block_based=False)
    options.set_block_based_table_factory(table)
    return options
