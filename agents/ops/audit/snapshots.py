"""A copy of a table's partition, compared with the fold of what it says it holds."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from agents.ops.audit.replay import AnyAggregate, PartitionReplay, adapter_of
from agents.runtime.state_store import Row

_SHOWN = 300
"""Characters of a value that are printed."""

_NOTHING = "no row"


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """A row of a copy, and where it stands there."""

    row: Row
    at: str


@dataclass
class TableSnapshot:
    """One partition of a table, as somebody kept it.

    Attributes:
        name: whose it is: a changelog's or a directory's.
        partition: which one.
        version: the end of the source records that it says it holds.
        rows: by key, of each the one that counts.
    """

    name: str
    partition: int
    version: int = 0
    rows: dict[bytes, SnapshotRow] = field(default_factory=dict)

    def recover(self, rows: Iterable[SnapshotRow]) -> None:
        """Take changelog records, in log order, as a worker that recovers does.

        The highest version of a row counts, of equal ones the later.
        """
        for kept in rows:
            there = self.rows.get(kept.row.key)
            if there is None or kept.row.source_offset >= there.row.source_offset:
                self.rows[kept.row.key] = kept
            self.version = max(self.version, kept.row.source_offset)


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that is not what the fold of its log comes to.

    Attributes:
        table: whose copy it is.
        key: of the row.
        at: where the copy has it.
        version: of the copy.
        last: the last record that changed the row when its log was folded.
        folded: what it must be.
        found: what it is.
    """

    table: str
    key: str
    at: str
    version: int
    last: str
    folded: str
    found: str

    def is_erased(self, replay: PartitionReplay) -> bool:
        """Tell whether the row is only missing since the log erases it further on.

        Kafka drops also the record that says so, a day after compaction; then nothing in
        a changelog tells that it went beyond that.
        """
        erased = self.key not in replay.rows and self.key in replay.changed_at
        return self.found == _NOTHING and erased

    def __str__(self) -> str:
        return (
            f"{self.table} row {self.key!r} at {self.at}, version {self.version}:"
            f" {self.found}, but the log up to {self.last} says {self.folded}"
        )


def compare(replay: PartitionReplay, copy: TableSnapshot) -> Iterator[Difference]:
    """Yield each row in which a copy differs from the fold of its version's prefix."""
    for key in copy.rows.keys() | {key.encode() for key in replay.rows}:
        name = key.decode(errors="backslashreplace")
        folded, kept = replay.rows.get(name), copy.rows.get(key)
        found, text = _read(replay, name, kept)
        if found != folded or (found is None and text is not _NOTHING):
            yield _difference(replay, copy, name, text)


def decoded(aggregate: AnyAggregate, copy: TableSnapshot) -> Iterator[tuple[str, Any]]:
    """Yield a copy's rows as the rules know them; those that can't be read are left out."""
    for key, kept in copy.rows.items():
        name = key.decode(errors="backslashreplace")
        if kept.row.value is not None:
            with suppress(ValidationError):
                row = adapter_of(aggregate, name).validate_json(kept.row.value)
                yield name, row


def ahead_of_log(replay: PartitionReplay, copy: TableSnapshot, end: int) -> Difference:
    """Say that a copy holds more than its log."""
    text = f"it says that it holds {copy.version} records"
    row = next((k for k in copy.rows.values() if k.row.source_offset == copy.version), None)
    name = row.row.key.decode(errors="backslashreplace") if row else ""
    at = row.at if row else copy.name
    last = f"{replay.topic.name}-{replay.partition}@{end}"
    return Difference(copy.name, name, at, copy.version, last, "there are no more", text)


def _read(replay: PartitionReplay, name: str, kept: SnapshotRow | None) -> tuple[Any, str]:
    """Return a kept row as the rules know it, and as it is shown."""
    if kept is None or kept.row.value is None or replay.aggregate is None:
        return None, _NOTHING
    shown = _short(kept.row.value.decode(errors="backslashreplace"))
    try:
        row = adapter_of(replay.aggregate, name).validate_json(kept.row.value)
    except ValidationError:
        return None, f"{shown}, which can't be read"
    return row, shown


def _difference(
    replay: PartitionReplay, copy: TableSnapshot, name: str, found: str
) -> Difference:
    touched = replay.changed_at.get(name)
    where = f"{replay.topic.name}-{replay.partition}"
    kept = copy.rows.get(name.encode())
    return Difference(
        table=copy.name,
        key=name,
        at=kept.at if kept else f"partition {copy.partition}",
        version=copy.version,
        last=f"{where}@{touched if touched is not None else copy.version}",
        folded=_shown(replay, name),
        found=found,
    )


def _shown(replay: PartitionReplay, name: str) -> str:
    row = replay.rows.get(name)
    if row is None or replay.aggregate is None:
        return _NOTHING
    return _short(adapter_of(replay.aggregate, name).dump_json(row).decode())


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
