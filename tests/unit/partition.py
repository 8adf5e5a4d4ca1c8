"""A partition: a log, and the table that is folded from it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from agents.aggregate import Aggregate, Cause, OutgoingMessage

from .given import NOON, rows_of

Rows = dict[str, bytes]

PURGE_MARGIN = timedelta(hours=1)


@dataclass(frozen=True)
class Record:
    """A message in a log, with the conversation in its headers.

    Attributes:
        is_moved: a repartition has written its origin.
    """

    value: bytes
    origin: str | None = None
    key: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    at: datetime = NOON
    is_moved: bool = False


class Turn(NamedTuple):
    """One step: a record, the states and the messages; `seen` if it is redelivered."""

    request: Any
    cause: Cause
    names: tuple[str, ...]
    before: Any
    after: Any
    messages: list[OutgoingMessage]
    seen: bool


@dataclass
class Partition:
    """A partition of a request topic, and of the table that is folded from it.

    Attributes:
        writes: the rows with their versions, as each write since the last commit or crash
            left them; a crash may take any number of the newest, but not the first.
        position: of the next record.
        committed: where it goes on after a crash.
        kept: rows of which all records are committed.
        begin: records below are deleted.
    """

    aggregate: Aggregate[Any, Any, Any]
    name: str
    log: list[Record] = field(default_factory=list)
    writes: list[tuple[Rows, int]] = field(default_factory=lambda: [({}, 0)])
    position: int = 0
    committed: int = 0
    kept: Rows = field(default_factory=dict)
    begin: int = 0

    @property
    def rows(self) -> Rows:
        rows, _ = self.writes[-1]
        return rows

    @property
    def version(self) -> int:
        """The offset after the last record that is folded into the rows."""
        _, version = self.writes[-1]
        return version

    def write(self, rows: Rows, version: int) -> None:
        if rows != self.rows:
            self.writes.append((rows, max(version, self.version)))

    def crash(self, lost: int) -> None:
        """Go back to the last commit, without so many of the newest writes.

        Those that are left have been read from the changelog: they stay.
        """
        self.writes = [self.writes[len(self.writes) - 1 - lost]]
        self.position = self.committed

    def purge(self) -> None:
        """Delete rows that expired an hour before the last committed record, or earlier.

        Records that come again are not older than that, within a clock's errors.
        """
        if not self.committed:
            return
        at = self.log[self.committed - 1].at - PURGE_MARGIN
        self.write(self.unexpired(self.rows, at), self.version)

    def unexpired(self, rows: Rows, at: datetime) -> Rows:
        """Return the rows that have not expired at a time."""
        return {
            name: row
            for name, row in rows.items()
            if self.aggregate.unexpired(self.decode(name, row), at) is not None
        }

    def decode(self, name: str, row: bytes) -> Any:
        return self.aggregate.serdes[1 if "/" in name else 0].deserialize(row)

    def commit(self) -> None:
        del self.writes[:-1]
        self.committed = self.position
        if self.version <= self.committed:  # else rows include records that come again
            self.kept = self.rows

    def fold(self, start: int, end: int, rows: Rows) -> Iterator[Turn]:
        """Let records take their turns on top of rows, which change."""
        for offset in range(start, end):
            turn = self._turn(offset, rows)
            if turn.after is not turn.before:
                for name, row in self._encode(turn.names, turn.after):
                    rows.pop(name, None)
                    if row is not None:
                        rows[name] = row
            yield turn

    def _turn(self, offset: int, rows: Rows) -> Turn:
        record = self.log[offset]
        request = self.aggregate.requests.decode(record.value)
        origin = record.origin or f"{self.name}-{offset}"
        is_first = record.origin is None or record.is_moved
        cause = Cause(record.at, origin, record.key, record.headers, is_first)
        names = self.aggregate.identify(request, cause)
        before = self._decode(names, rows, record.at)
        seen = offset < self.version
        after, messages = self.aggregate.step(before, request, cause, redelivered=seen)
        return Turn(request, cause, names, before, after, messages, seen)

    def _decode(self, names: Sequence[str], rows: Rows, at: datetime) -> Any:
        parts = zip(names, self.aggregate.serdes, strict=False)
        found = (
            serde.deserialize(rows[name]) if name in rows else None for name, serde in parts
        )
        return self.aggregate.state(*(self.aggregate.unexpired(row, at) for row in found))

    def _encode(
        self, names: Sequence[str], state: Any
    ) -> Iterator[tuple[str, bytes | None]]:
        parts = zip(
            names, self.aggregate.serdes, rows_of(self.aggregate, state), strict=False
        )
        for name, serde, row in parts:
            yield name, None if row is None else serde.serialize(row)
