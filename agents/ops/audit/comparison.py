"""Compares each snapshot with the replay of exactly the records that it includes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiokafka import TopicPartition
from pydantic import ValidationError

from agents.ops.audit.replay import AnyAggregate, LogReplay, PartitionReplay, adapter_of
from agents.ops.audit.snapshots import SnapshotRow, TableSnapshot
from topics.kafka.location import RecordLocation

_MAX_SHOWN = 300
"""Characters of a value that are printed."""

_NO_ROW = "no row"


@dataclass(frozen=True, slots=True)
class Difference:
    """A row of a snapshot that differs from the replay.

    Attributes:
        table: the name of the snapshot.
        key: of the row.
        at: the location of the row in the snapshot.
        source_offset: of the snapshot.
        last: the location of the last record that changed the row in the replay.
        expected: the row of the replay.
        found: the row of the snapshot.
    """

    table: str
    key: str
    at: str
    source_offset: int
    last: str
    expected: str
    found: str

    def is_erased(self, replay: PartitionReplay) -> bool:
        """Return whether the row is only missing because the log deletes it later.

        Kafka also drops the deletion, a day after compaction. Then no record of the
        changelog shows that its end lies beyond the deletion.
        """
        erased = self.key not in replay.rows and self.key in replay.changed_at
        return self.found == _NO_ROW and erased

    def __str__(self) -> str:
        return (
            f"{self.table} row {self.key!r} at {self.at}, source offset"
            f" {self.source_offset}: {self.found}, but the log up to {self.last} gives"
            f" {self.expected}"
        )


class Comparison:
    """The comparison of snapshots with a replay, while it runs.

    Args:
        log: the replay.
    """

    def __init__(self, log: LogReplay) -> None:
        self._log = log
        self._found: list[tuple[PartitionReplay, Difference]] = []

    def add(self, aggregate: AnyAggregate, snapshot: TableSnapshot) -> None:
        """Compare a snapshot once the replay reaches its source offset."""
        tp = TopicPartition(aggregate.requests.name, snapshot.partition)
        replay = self._log.replays.get(tp)
        if replay is None:
            return
        end = self._log.ranges[tp].end
        if snapshot.source_offset > end:
            self._found.append((replay, _ahead_of_log(replay, snapshot, end)))
        replay.at_offset(snapshot.source_offset, partial(self._compare, replay, snapshot))

    def differences(self) -> list[Difference]:
        """Return the differences, once the replay is finished."""
        return [found for replay, found in self._found if not found.is_erased(replay)]

    def _compare(self, replay: PartitionReplay, snapshot: TableSnapshot) -> None:
        self._found += [(replay, found) for found in compare(replay, snapshot)]


def compare(replay: PartitionReplay, snapshot: TableSnapshot) -> Iterator[Difference]:
    """Yield the rows in which a snapshot differs from the current rows of a replay."""
    for key in snapshot.rows.keys() | {key.encode() for key in replay.rows}:
        name = key.decode(errors="backslashreplace")
        expected = replay.rows.get(name)
        found, shown = _decoded(replay, name, snapshot.rows.get(key))
        if found != expected or (found is None and shown is not _NO_ROW):
            yield _difference(replay, snapshot, name, shown)


def _ahead_of_log(replay: PartitionReplay, snapshot: TableSnapshot, end: int) -> Difference:
    offset = snapshot.source_offset
    row = next((r for r in snapshot.rows.values() if r.row.source_offset == offset), None)
    return Difference(
        table=snapshot.name,
        key=row.row.key.decode(errors="backslashreplace") if row else "",
        at=row.at if row else snapshot.name,
        source_offset=offset,
        last=str(RecordLocation(replay.topic.name, replay.partition, end)),
        expected="no more records",
        found=f"it includes {offset} records",
    )


def _decoded(
    replay: PartitionReplay, name: str, each: SnapshotRow | None
) -> tuple[Any, str]:
    """Return a row of a snapshot as a value, and as it is printed."""
    if each is None or each.row.value is None or replay.aggregate is None:
        return None, _NO_ROW
    shown = _short(each.row.value.decode(errors="backslashreplace"))
    try:
        row = adapter_of(replay.aggregate, name).validate_json(each.row.value)
    except ValidationError:
        return None, f"{shown}, which is invalid"
    return row, shown


def _difference(
    replay: PartitionReplay, snapshot: TableSnapshot, name: str, found: str
) -> Difference:
    last = replay.changed_at.get(name, snapshot.source_offset)
    each = snapshot.rows.get(name.encode())
    return Difference(
        table=snapshot.name,
        key=name,
        at=each.at if each else f"partition {snapshot.partition}",
        source_offset=snapshot.source_offset,
        last=str(RecordLocation(replay.topic.name, replay.partition, last)),
        expected=_expected(replay, name),
        found=found,
    )


def _expected(replay: PartitionReplay, name: str) -> str:
    row = replay.rows.get(name)
    if row is None or replay.aggregate is None:
        return _NO_ROW
    return _short(adapter_of(replay.aggregate, name).dump_json(row).decode())


def _short(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
