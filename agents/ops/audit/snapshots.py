"""Snapshots of tables, read from changelogs and from the workers' local stores."""

import fcntl
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiokafka.structs import ConsumerRecord
from pydantic import TypeAdapter, ValidationError

from agents.aggregate import Aggregate
from agents.checkout.service import CART_AGGREGATE
from agents.loms.service import ORDER_AGGREGATE, STOCK_AGGREGATE
from agents.runtime.changelog import decode_row, supersedes
from agents.runtime.rows import Row
from agents.runtime.state_store import StateStore
from topics.kafka.location import RecordLocation
from topics.kafka.reader import TopicReader
from topics.topic import Topic
from topics.topology import CHANGELOGS

AnyAggregate = Aggregate[Any, Any, Any]

AGGREGATES: dict[Topic, AnyAggregate] = {
    aggregate.requests: aggregate
    for aggregate in (CART_AGGREGATE, ORDER_AGGREGATE, STOCK_AGGREGATE)
}
"""The aggregates by their request topics."""

SOURCES = {aggregate.changelog: aggregate for aggregate in AGGREGATES.values()}
"""The aggregates by their changelogs."""

NO_ROW = "no row"
_MAX_SHOWN = 300
"""Characters of a value that are printed."""


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """A row of a snapshot, and its location there."""

    row: Row
    at: str


@dataclass
class TableSnapshot:
    """A copy of one partition of a table.

    Attributes:
        source_offset: the end of the source records that the copy includes.
        rows: by key, each with its highest source offset.
        store: the local store of the copy; None: it was read from the changelog.
    """

    changelog: Topic
    partition: int
    source_offset: int = 0
    rows: dict[bytes, SnapshotRow] = field(default_factory=dict)
    store: Path | None = None

    def recover(self, rows: Iterable[SnapshotRow]) -> None:
        """Apply changelog records in log order, as a recovering worker does."""
        for each in rows:
            known = self.rows.get(each.row.key)
            if supersedes(each.row, known.row if known else None):
                self.rows[each.row.key] = each
            self.source_offset = max(self.source_offset, each.row.source_offset)

    def decoded(self, key: bytes) -> tuple[Any, str]:
        """Return a row as a value, None if it is invalid; and as text."""
        found = self.rows.get(key)
        if found is None or found.row.value is None:
            return None, NO_ROW
        text = short(as_text(found.row.value))
        try:
            adapter = adapter_of(SOURCES[self.changelog], as_text(key))
            return adapter.validate_json(found.row.value), text
        except ValidationError:
            return None, f"{text}, which is invalid"

    def values(self) -> dict[str, Any]:
        """Return the rows as values, without deleted and invalid ones."""
        values = {as_text(key): self.decoded(key)[0] for key in self.rows}
        return {key: value for key, value in values.items() if value is not None}


Snapshots = Mapping[tuple[Topic, int], TableSnapshot]
"""By changelog and partition."""


async def read_changelogs(
    reader: TopicReader, partitions: Mapping[Topic, int]
) -> Snapshots:
    """Read all changelogs to their ends."""
    topics = {topic.name: topic for topic in CHANGELOGS}
    counts = {topic: partitions[topic] for topic in CHANGELOGS}
    ranges = await reader.offset_ranges(counts)
    snapshots = {tp: TableSnapshot(topics[tp.topic], tp.partition) for tp in ranges}
    async for tp, records in reader.read(ranges):
        snapshots[tp].recover(map(_located, records))
    return {(each.changelog, each.partition): each for each in snapshots.values()}


def _located(record: ConsumerRecord) -> SnapshotRow:
    return SnapshotRow(decode_row(record), str(RecordLocation.of(record)))


def read_local_stores(
    directory: Path, cluster: str, notes: list[str]
) -> Iterator[TableSnapshot]:
    """Yield the snapshots of local stores whose workers are down.

    Args:
        directory: has a state directory for each worker.
        cluster: the id of the Kafka cluster.
        notes: receives a line for each store that can't be read.
    """
    for state_dir in sorted(path for path in directory.iterdir() if path.is_dir()):
        lock = state_dir / "lock"
        with lock.open() if lock.exists() else nullcontext() as file:
            try:
                if file:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                notes.append(f"{state_dir} is in use: not compared")
                continue
            for changelog in SOURCES:
                _, _, table = changelog.name.removesuffix("-changelog").partition("-")
                store = state_dir / table
                snapshots = _read_store(changelog, store, cluster)
                if store.is_dir() and not snapshots:
                    notes.append(f"{store} has no usable rows: a worker would rebuild it")
                yield from snapshots


def _read_store(changelog: Topic, path: Path, cluster: str) -> list[TableSnapshot]:
    """Read a copy of a store, since opening one changes it.

    It is valid if a worker that starts would use it, also after a crash.
    """
    if not path.is_dir():
        return []
    with TemporaryDirectory() as directory:
        copy = Path(directory) / path.name
        shutil.copytree(path, copy)
        store = StateStore(copy, cluster)
        for partition in list(store.partitions()):
            store.load(partition)
        snapshots = []
        for number, offsets in store.offsets.items():
            end, at = offsets.source_offset, f"{path}, partition {number}"
            rows = {k: SnapshotRow(Row(k, v, end), at) for k, v in store.rows(number)}
            snapshots.append(TableSnapshot(changelog, number, end, rows, path))
        store.close()
    return snapshots


def adapter_of(aggregate: AnyAggregate, key: str) -> TypeAdapter[Any]:
    """Return the adapter of a row's JSON; a key with a slash has the second one."""
    return aggregate.adapters[min(key.count("/"), len(aggregate.adapters) - 1, 1)]


def as_text(raw: bytes) -> str:
    """Return a key or a value as text, also an invalid one."""
    return raw.decode(errors="backslashreplace")


def short(text: str) -> str:
    """Return a value as it is printed."""
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
