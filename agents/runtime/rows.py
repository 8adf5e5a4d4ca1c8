"""Rows of a partition: as changelog records, as a transaction, and how far they go."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_RECENT = 256
"""Stored rows of a partition that are in memory."""

Index = Callable[[bytes], tuple[bytes, bool] | None]
"""Returns the index value of a row's JSON, without a slash, and whether the row is in the
index now. None: it never was. A later version has the same value, so its entry is found;
else a sweep drops the entry (agents/runtime/sweeper.py)."""


class Row(NamedTuple):
    """A changelog record: a row's JSON at a source offset; None: deleted."""

    key: bytes
    value: bytes | None
    source_offset: int


class Progress(NamedTuple):
    """How far a partition's stored rows go.

    Attributes:
        source_offset: after the last source record that they include.
        changelog_offset: after the last changelog record that they include.
        at: a time, by `time.time`: all further changelog records are younger.
    """

    source_offset: int
    changelog_offset: int
    at: float


@dataclass
class PartitionOffsets:
    """Offsets of a partition's rows, for the time of one assignment.

    Attributes:
        source_offset: as in `stored`, but unacknowledged rows are included.
        changelog_offset: as in `stored`, but records that were sent are included.
        stored: the progress of the stored rows.
        superseded: rows whose newest changelog record is a zombie's write. They are
            written again.
        unacknowledged: writes that the changelog has not acknowledged yet, by row.
        recent: the JSON of rows that were stored lately: most reads are of these.
        cursor: `due` has yielded the index entries below it; empty: none.
    """

    source_offset: int = 0
    changelog_offset: int = 0
    stored: Progress = field(default_factory=lambda: Progress(0, 0, time.time()))
    superseded: dict[bytes, Row] = field(default_factory=dict)
    unacknowledged: dict[bytes, "Write"] = field(default_factory=dict)
    recent: dict[bytes, bytes | None] = field(default_factory=dict)
    cursor: bytes = b""

    def keep(self, key: bytes, value: bytes | None) -> None:
        """Keep a stored row's JSON in memory, instead of the one that was kept first."""
        self.recent[key] = value
        if len(self.recent) > MAX_RECENT:
            del self.recent[next(iter(self.recent))]


@dataclass(frozen=True, eq=False, slots=True)
class Write:
    """The rows of a transaction; None deletes a row. `offsets` is of its assignment."""

    partition: int
    rows: Mapping[bytes, bytes | None]
    source_offset: int
    offsets: PartitionOffsets
