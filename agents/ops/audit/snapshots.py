"""Snapshots of tables, read from changelogs and from the workers' local stores."""

import fcntl
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from msgspec import NODEFAULT, DecodeError, structs

from agents.aggregate import Aggregate
from agents.checkout.service import CART_AGGREGATE
from agents.loms.service import ORDER_AGGREGATE, STOCK_AGGREGATE
from agents.ops.audit.invariants import Account, StockLocation
from agents.row_serde import RowSerde
from agents.runtime.changelog import decode_row, supersedes
from agents.runtime.rows import Row
from agents.runtime.state_store import StateStore
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
_INVALID = object()
_MAX_SHOWN = 300
"""Characters of a value that are printed."""


@dataclass(frozen=True, slots=True)
class TableState:
    """A partition of a table after the records below an offset.

    Attributes:
        changed_at: by key, the offset of the last record that changed a row.
        changed_end: the end of the records that changed any row, deleted ones included.
        newest_ms: the newest timestamp of these records.
        turnover: units that were received and written off.
    """

    offset: int = 0
    rows: Mapping[str, Any] = field(default_factory=dict)
    changed_at: Mapping[str, int] = field(default_factory=dict)
    changed_end: int = 0
    newest_ms: int = 0
    turnover: Mapping[StockLocation, Counter[Account]] = field(default_factory=dict)


@dataclass
class TableSnapshot:
    """A copy of one partition of a table.

    Attributes:
        source_offset: the end of the source records that the copy includes.
        rows: by key, each with its highest source offset.
        store: the local store of the copy; None: it was read from the changelog.
        offsets: of the rows in the changelog.
        generation: how often the table was repartitioned.
    """

    changelog: Topic
    partition: int
    source_offset: int = 0
    rows: dict[bytes, Row] = field(default_factory=dict)
    store: Path | None = None
    offsets: dict[bytes, int] = field(default_factory=dict)
    generation: int = 0

    @property
    def source(self) -> TopicPartition | None:
        """The partition of an aggregate's requests, which change the table."""
        aggregate = SOURCES.get(self.changelog)
        return aggregate and TopicPartition(aggregate.requests.name, self.partition)

    def recover(self, records: Iterable[ConsumerRecord]) -> None:
        """Apply changelog records in log order, as a recovering worker does."""
        for record in records:
            row = decode_row(record, self.generation)
            if supersedes(row, self.rows.get(row.key)):
                self.rows[row.key] = row
                self.offsets[row.key] = record.offset
            self.source_offset = max(self.source_offset, row.source_offset)

    def decoded(self, key: bytes) -> tuple[Any, str]:
        """Return a row as a value, None without one, or _INVALID; and as text."""
        row = self.rows.get(key)
        if row is None or row.value is None:
            return None, NO_ROW
        text = short(as_text(row.value))
        try:
            serde = serde_of(SOURCES[self.changelog], as_text(key))
            return serde.deserialize(row.value), text
        except DecodeError:
            return _INVALID, f"{text}, which is invalid"

    def as_stored(self, key: bytes, value: Any, expected: Any) -> Any:  # noqa: ANN401 -- rows
        """Return an expected row as the release that stored the row would have it.

        It lacks the fields that a later release has added, with their defaults.
        """
        row = self.rows.get(key)
        if row is None or row.value is None or type(value) is not type(expected):
            return expected
        stored = orjson.loads(row.value)
        newer = {
            field.name: field.default
            for field in structs.fields(expected)
            if field.default is not NODEFAULT
            and field.name not in stored
            and getattr(value, field.name) == field.default
        }
        return structs.replace(expected, **newer)

    def stored_keys(self) -> set[bytes]:
        """Return the keys of the rows, without those of deleted ones."""
        return {key for key, row in self.rows.items() if row.value is not None}

    def values(self) -> dict[str, Any]:
        """Return the rows as values, without deleted and invalid ones."""
        rows = ((as_text(key), self.decoded(key)[0]) for key in self.rows)
        return {key: value for key, value in rows if value not in (None, _INVALID)}

    def describe(self, key: bytes) -> str:
        """Return a row's key, its location and the snapshot's source offset as text."""
        name, offset = self.store or self.changelog.name, self.offsets.get(key)
        at = f"{name}, partition {self.partition}"
        if offset is not None:
            at = f"{name}-{self.partition}@{offset}"
        return f"{name} row {as_text(key)!r} at {at}, source offset {self.source_offset}"


Snapshots = Mapping[TopicPartition, TableSnapshot]
"""By partition of a changelog."""


async def read_changelogs(
    reader: TopicReader, partitions: Mapping[Topic, int], generation: int = 0
) -> Snapshots:
    """Read all changelogs to their ends."""
    topics = {topic.name: topic for topic in CHANGELOGS}
    ranges = await reader.offset_ranges({topic: partitions[topic] for topic in CHANGELOGS})
    snapshots = {
        tp: TableSnapshot(topics[tp.topic], tp.partition, generation=generation)
        for tp in ranges
    }
    async for tp, records in reader.read(ranges):
        snapshots[tp].recover(records)
    return snapshots


def read_local_stores(
    directory: Path, cluster: str, notes: list[str], generation: int = 0
) -> Iterator[TableSnapshot]:
    """Yield the snapshots of local stores whose workers are down.

    Args:
        directory: has a state directory for each worker.
        cluster: the id of the Kafka cluster.
        notes: receives a line for each store that can't be read.
        generation: how often the tables were repartitioned.
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
                if (store := state_dir / table).is_dir():
                    yield from _read_store(changelog, store, cluster, notes, generation)


def _read_store(
    changelog: Topic, path: Path, cluster: str, notes: list[str], generation: int
) -> Iterator[TableSnapshot]:
    """Read a copy of a store, since opening one changes it.

    It is valid if a worker that starts would use it, also after a crash.
    """
    with TemporaryDirectory() as directory:
        copy = Path(directory) / path.name
        shutil.copytree(path, copy)
        store = StateStore(copy, cluster, generation=generation)
        for partition in list(store.partitions()):
            store.load(partition)
        if not store.offsets:
            notes.append(f"{path} has no usable rows: a worker would rebuild it")
        for number, offsets in store.offsets.items():
            end = offsets.source_offset
            rows = {key: Row(key, value, end) for key, value in store.rows(number)}
            yield TableSnapshot(changelog, number, end, rows, path)
        store.close()


def serde_of(aggregate: AnyAggregate, key: str) -> RowSerde:
    """Return the serde of a row; a key with a slash has the second one."""
    return aggregate.serdes[-1 if "/" in key else 0]


def as_text(raw: bytes) -> str:
    """Return a key or a value as text, also an invalid one."""
    return raw.decode(errors="backslashreplace")


def short(text: str) -> str:
    """Return a value as it is printed."""
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
