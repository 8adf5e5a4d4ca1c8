"""Snapshots of tables, read from changelogs and from the workers' local stores."""

import fcntl
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiokafka.structs import ConsumerRecord
from pydantic import ValidationError

from agents.ops.audit.replay import SOURCES, AnyAggregate, adapter_of
from agents.runtime.changelog import decode_row, supersedes
from agents.runtime.state_store import Row, StateStore
from topics.kafka.location import RecordLocation
from topics.kafka.reader import TopicReader
from topics.topic import Topic
from topics.topology import CHANGELOGS


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """A row of a snapshot, and its location there."""

    row: Row
    at: str


@dataclass
class TableSnapshot:
    """A copy of one partition of a table.

    Attributes:
        name: of the changelog or of the directory.
        partition: which one.
        source_offset: the end of the source records that the copy includes.
        rows: by key, each with its highest source offset.
    """

    name: str
    partition: int
    source_offset: int = 0
    rows: dict[bytes, SnapshotRow] = field(default_factory=dict)

    def recover(self, rows: Iterable[SnapshotRow]) -> None:
        """Apply changelog records in log order, as a recovering worker does."""
        for each in rows:
            known = self.rows.get(each.row.key)
            if supersedes(each.row, known.row if known else None):
                self.rows[each.row.key] = each
            self.source_offset = max(self.source_offset, each.row.source_offset)


Snapshots = Mapping[tuple[Topic, int], TableSnapshot]
"""By changelog and partition."""


async def read_changelogs(
    reader: TopicReader, partitions: Mapping[Topic, int]
) -> Snapshots:
    """Read all changelogs to their ends."""
    counts = {topic: partitions[topic] for topic in CHANGELOGS}
    snapshots = {
        (topic, number): TableSnapshot(topic.name, number)
        for topic in CHANGELOGS
        for number in range(counts[topic])
    }
    by_name = {topic.name: topic for topic in CHANGELOGS}
    async for tp, records in reader.read(await reader.offset_ranges(counts)):
        snapshots[by_name[tp.topic], tp.partition].recover(map(_located, records))
    return snapshots


def _located(record: ConsumerRecord) -> SnapshotRow:
    return SnapshotRow(decode_row(record), str(RecordLocation.of(record)))


def read_local_stores(
    directory: Path, cluster: str, notes: list[str]
) -> Iterator[tuple[AnyAggregate, TableSnapshot]]:
    """Yield the snapshots of local stores whose workers are down.

    Opening a store changes it, so only a copy is opened. The checkpoint decides whether
    the copy is valid, as it does for a worker that starts.

    Args:
        directory: has a state directory for each worker.
        cluster: the id of the Kafka cluster of the rows.
        notes: receives a line for each store that can't be read.
    """
    for state_dir in sorted(path for path in directory.iterdir() if path.is_dir()):
        with locked(state_dir) as acquired:
            if not acquired:
                notes.append(f"{state_dir} is in use: not compared")
                continue
            for store, aggregate in _stores(state_dir):
                snapshots = _read_store(store, cluster)
                if not snapshots:
                    notes.append(f"{store} is not complete: a worker would rebuild it")
                yield from ((aggregate, snapshot) for snapshot in snapshots)


def _stores(state_dir: Path) -> Iterator[tuple[Path, AnyAggregate]]:
    for changelog, aggregate in SOURCES.items():
        _, _, table = changelog.name.removesuffix("-changelog").partition("-")
        if (state_dir / table).is_dir():
            yield state_dir / table, aggregate


@contextmanager
def locked(state_dir: Path) -> Iterator[bool]:
    """Lock a worker's directory; yield False if a worker holds the lock."""
    lock = state_dir / "lock"
    if not lock.exists():
        yield True
        return
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _read_store(path: Path, cluster: str) -> list[TableSnapshot]:
    with TemporaryDirectory() as directory:
        copy = Path(directory) / path.name
        shutil.copytree(path, copy)
        store = StateStore(copy, cluster)
        snapshots = []
        for number, offsets in store.offsets.items():
            end, at = offsets.source_offset, f"{path}, partition {number}"
            rows = {k: SnapshotRow(Row(k, v, end), at) for k, v in store.rows(number)}
            snapshots.append(TableSnapshot(str(path), number, end, rows))
        store.close()
    return snapshots


def decoded(aggregate: AnyAggregate, snapshot: TableSnapshot) -> dict[str, Any]:
    """Return a snapshot's rows as values, without undecodable ones."""
    rows = {}
    for key, each in snapshot.rows.items():
        name = key.decode(errors="backslashreplace")
        if each.row.value is not None:
            with suppress(ValidationError):
                rows[name] = adapter_of(aggregate, name).validate_json(each.row.value)
    return rows
