"""Rows of a Faust table in RocksDB: at any time the fold of a prefix of their changelog.

All rows of a transaction go into the changelog as one record batch, which Kafka appends
whole or not at all. So a recovered partition is the fold of a prefix of its source log.
The prefix ends at the highest source offset of the partition's rows.

Rows stay in memory until the changelog has acknowledged them. Then one RocksDB batch
writes them together with the changelog offset behind them. RocksDB has no log of its own
here, so a crash loses its newest batches. What remains is a prefix of the batches, and
thus the fold of the changelog up to the offset in it. Recovery reads on from there. No
file can have a row that the changelog lacks, so no crash leaves anything to be judged.

A deleted row leaves a mark with its source offset: otherwise a zombie's later write would
count. The marks of a day are kept, as long as the changelog keeps its tombstones.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from itertools import islice
from pathlib import Path

import orjson

from agents.runtime import layout
from agents.runtime.database import FORMAT_KEY, Database
from agents.runtime.rows import Index, PartitionOffsets, Progress, Row, Write

MAX_AGE = timedelta(hours=12)
"""Half of the changelog's delete.retention.ms: after that, a deletion may be gone from the
changelog, and older rows would stay for ever."""

MARK_RETENTION = 2 * MAX_AGE
"""Of the marks of deleted rows: a zombie writes soon, and stored rows are younger."""

FORMAT = 2
"""To be raised with any change of stored keys or values, of an index, or of a retention."""

log = logging.getLogger(__name__)


class StateStore:
    """The rows of one table.

    Args:
        path: a directory of its own; created, and emptied if its files are unusable.
        cluster: the id of the Kafka cluster of the rows.
        index: of the rows; its entries are stored together with them.
        generation: how often the table was repartitioned; stored rows of another
            generation are unusable.

    Attributes:
        offsets: by partition that is read from the changelog or written to it.
        active: the partitions that this worker serves.
        database: the stored rows.
    """

    def __init__(
        self, path: Path, cluster: str, index: Index = lambda _: None, generation: int = 0
    ) -> None:
        self._path = path
        self.generation = generation
        self._index = index
        file_format = [FORMAT, cluster, generation] if generation else [FORMAT, cluster]
        self.database = Database(path, orjson.dumps(file_format))
        self.offsets: defaultdict[int, PartitionOffsets] = defaultdict(PartitionOffsets)
        self.active: set[int] = set()

    def load(self, partition: int) -> None:
        """Begin an assignment with the stored rows; unacknowledged ones are forgotten."""
        self.release(partition)
        self.offsets[partition] = offsets = PartitionOffsets()
        if stored := self._stored(partition):
            *progress, superseded = orjson.loads(stored)
            offsets.stored = Progress(*progress)
            offsets.source_offset, offsets.changelog_offset, _ = offsets.stored
            keys = [key.encode("latin-1") for key in superseded]
            offsets.superseded = {key: self.row(partition, key) for key in keys}

    def release(self, partition: int) -> None:
        """End an assignment. Stored rows stay while they are young enough to be used."""
        self.active.discard(partition)
        self.offsets.pop(partition, None)
        if stored := self._stored(partition):
            age = time.time() - Progress(*orjson.loads(stored)[:-1]).at
            if not 0 <= age <= MAX_AGE.total_seconds():
                text = "event=rows-discarded path=%s partition=%d reason='%.0f s old'"
                log.warning(text, self._path, partition, age)
                self.purge(partition, b"", None)

    def get(self, partition: int, key: bytes) -> bytes | None:
        """Return a row's JSON; None if the row is absent or deleted."""
        offsets = self.offsets.get(partition)
        if offsets is not None:
            if write := offsets.unacknowledged.get(key):
                return write.rows[key]
            if key in offsets.recent:
                return offsets.recent[key]
        return layout.json_of(self._stored(partition, key))

    def row(self, partition: int, key: bytes) -> Row:
        """Return a stored row with its source offset, or that of its mark; else 0."""
        return layout.row_of(key, self._stored(partition, key))

    def page(self, partition: int, begin: bytes, limit: int) -> list[Row]:
        """Return stored rows and marks from a key on, so many; b"": the first."""
        keys = layout.key_range(partition, begin or layout.ROWS, None)
        found = islice(self.database.scan(*keys), limit)
        return [layout.row_of(key[layout.PARTITION_BYTES :], row) for key, row in found]

    def put(
        self, partition: int, rows: Mapping[bytes, bytes | None], source_offset: int
    ) -> Write:
        """Keep the rows of a transaction in memory until they are committed."""
        offsets = self.offsets[partition]
        write = Write(partition, rows, source_offset, offsets)
        offsets.unacknowledged.update(dict.fromkeys(rows, write))
        offsets.source_offset = max(offsets.source_offset, source_offset)
        return write

    def commit(self, write: Write, changelog_offset: int, at: float) -> None:
        """Store rows that the changelog has, up to an offset; they were sent after `at`.

        Those of an assignment that has ended are left to the next recovery.
        """
        offsets = write.offsets
        if self.offsets.get(write.partition) is not offsets:
            return
        if offsets.stored.changelog_offset + len(write.rows) != changelog_offset:
            raise ValueError(f"acknowledged out of order: up to {changelog_offset}")
        for key in offsets.superseded.keys() & write.rows.keys():
            del offsets.superseded[key]
        rows = [(key, value, write.source_offset) for key, value in write.rows.items()]
        source_offset = max(offsets.stored.source_offset, write.source_offset)
        self.store(write.partition, rows, Progress(source_offset, changelog_offset, at))
        for key in write.rows:
            if offsets.unacknowledged.get(key) is write:
                del offsets.unacknowledged[key]

    def store(
        self,
        partition: int,
        rows: Iterable[tuple[bytes, bytes | None, int]],
        progress: Progress,
    ) -> None:
        """Store rows, their index entries and the progress with them, at once.

        A row has its key, its JSON and its source offset, as `Row` has.
        """
        offsets, prefix = self.offsets[partition], layout.stored_key(partition)
        now = layout.encode_time(time.time())
        pairs: list[tuple[bytes, bytes | None]] = []
        for key, value, source_offset in rows:
            offsets.keep(key, value or None)
            stamp = source_offset.to_bytes(layout.OFFSET_BYTES, "big")
            pairs.append((prefix + key, stamp + (value or now)))
            if not value:
                pairs.append((prefix + layout.MARKS + now + key, b""))
            elif indexed := self._index(value):
                entry, is_live = indexed[0] + b"/" + key, indexed[1]
                pairs.append((prefix + layout.INDEX + entry, b"" if is_live else None))
                if is_live:
                    offsets.cursor = min(offsets.cursor, entry)
        superseded = [key.decode("latin-1") for key in offsets.superseded]
        pairs.append((prefix, orjson.dumps([*progress, superseded])))
        self.database.write(pairs)
        offsets.stored = progress

    def confirm(self, partition: int, end: int, at: float) -> bool:
        """Keep a partition's rows young; return whether they are.

        They are if they have all that the changelog had at a time, up to `end`.
        """
        offsets = self.offsets.get(partition)
        if offsets is None or offsets.stored.changelog_offset < end:
            return False
        self.store(partition, (), offsets.stored._replace(at=at))
        return True

    def rows(
        self, partition: int, begin: bytes = layout.ROWS, end: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield stored rows' keys and JSON, in key order, from `begin` to below `end`."""
        for key, stored in self.database.scan(*layout.key_range(partition, begin, end)):
            if value := layout.json_of(stored):
                yield key[layout.PARTITION_BYTES :], value

    def due(self, partition: int, last: bytes) -> Iterator[bytes]:
        """Yield index entries up to an index value: the value, a slash, the row's key.

        An entry comes once in an assignment, and again when its row was stored again.
        """
        offsets, end = self.offsets[partition], last + b"0"  # the character after /
        if offsets.cursor >= end:
            return
        begin, start = layout.INDEX + offsets.cursor, layout.ENTRY_BEGIN
        for key, _ in self.database.scan(*layout.key_range(partition, begin, layout.MARKS)):
            offsets.cursor = entry = key[start:]
            if entry >= end:
                return
            offsets.cursor += b"\0"
            yield entry
        offsets.cursor = b"\xff"  # behind all entries

    def is_current(self, partition: int, entry: bytes) -> bool:
        """Return whether an index entry is its stored row's."""
        indexed, _, key = entry.partition(b"/")
        value = layout.json_of(self._stored(partition, key))
        return value is not None and self._index(value) == (indexed, True)

    def drop_entries(self, partition: int, entries: Iterable[bytes]) -> None:
        """Remove index entries that are not current."""
        prefix = layout.stored_key(partition, layout.INDEX)
        self.database.write((prefix + entry, None) for entry in entries)

    def drop_marks(self, partition: int, until: float, limit: int) -> int:
        """Drop marks of rows that were deleted before a time; return the marks read."""
        end = layout.MARKS + layout.encode_time(until)
        marks = self.database.scan(*layout.key_range(partition, layout.MARKS, end))
        entries = [entry for entry, _ in islice(marks, limit)]
        dropped = [*entries]
        for at, key in map(layout.split_mark, entries):
            if layout.value_of(self._stored(partition, key)) == at:  # no later version
                dropped.append(layout.stored_key(partition, key))
        self.database.write((key, None) for key in dropped)
        return len(entries)

    def purge(self, partition: int, begin: bytes, end: bytes | None) -> None:
        """Remove a range of keys, with the source offsets of deleted rows."""
        if offsets := self.offsets.get(partition):
            offsets.recent.clear()
        self.database.delete_range(*layout.key_range(partition, begin, end))

    def partitions(self) -> Iterator[int]:
        """Yield the partitions of which rows are stored, assigned ones or not."""
        partition, end = 0, FORMAT_KEY
        while found := next(self.database.scan(layout.stored_key(partition), end), None):
            partition = int.from_bytes(found[0][: layout.PARTITION_BYTES], "big")
            yield partition
            partition += 1

    def drop_partition(self, partition: int) -> None:
        """Delete a partition's rows for good: the changelog has lost some of them."""
        self.active.discard(partition)
        self.offsets.pop(partition, None)
        self.purge(partition, b"", None)
        # Without a flush, a crash could bring them back when the changelog has grown again.
        self.database.flush(wait=True)

    def close(self) -> None:
        """Close. A later acknowledgement is ignored: the next recovery reads those rows."""
        self.active.clear()
        self.offsets.clear()
        self.database.close()

    def _stored(self, partition: int, key: bytes = b"") -> bytes:
        return self.database.get(layout.stored_key(partition, key))
