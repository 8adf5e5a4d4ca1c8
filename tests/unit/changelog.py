"""A changelog, its store, and the fold that the stored rows must equal."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from agents.runtime.changelog import recover
from agents.runtime.rows import Row, Write
from agents.runtime.state_store import StateStore

P = 3
KEYS = [b"%d" % number for number in range(12)]


def index(row: bytes) -> tuple[bytes, bool]:
    """Index the rows with an even number, by their key's first digit, which begins them."""
    return row[:1], int(row) % 2 == 0


@dataclass
class Changelog:
    """A partition's changelog, its store, and what is on its way between them."""

    path: Path
    records: list[Row] = field(default_factory=list)
    in_flight: list[Write] = field(default_factory=list)

    def open(self) -> None:
        self.store = StateStore(self.path, "here", index)
        self.store.load(P)

    def put(self, rows: dict[bytes, bytes | None], source_offset: int) -> None:
        self.in_flight.append(self.store.put(P, rows, source_offset))

    def acknowledge(self) -> None:
        """Append the oldest write, and commit it."""
        write = self.in_flight.pop(0)
        self.records += [Row(k, v, write.source_offset) for k, v in write.rows.items()]
        self.store.commit(write, len(self.records), time.time())

    def recover(self) -> None:
        """Read on from the stored rows, in two chunks."""
        begin = self.store.offsets[P].stored.changelog_offset
        for end in sorted({(begin + len(self.records)) // 2, len(self.records)}):
            if begin < end:
                recover(self.store, P, self.records[begin:end], end)
                begin = end


def stored(store: StateStore) -> tuple[object, ...]:
    """Return the rows that are stored, and all that is stored about them."""
    store.load(P)
    offsets = store.offsets[P]
    rows = {key: store.row(P, key) for key in KEYS}
    entries = {each for each in store.due(P, b"~") if store.is_current(P, each)}
    return rows, entries, offsets.stored.source_offset, offsets.superseded


def fold(records: list[Row]) -> tuple[object, ...]:
    """Return the same for a changelog, without any store."""
    rows = {key: Row(key, None, 0) for key in KEYS}
    superseded: dict[bytes, Row] = {}
    for row in records:
        if row.source_offset < rows[row.key].source_offset:
            superseded[row.key] = rows[row.key]
        else:
            rows[row.key] = row
            superseded.pop(row.key, None)
    indexed = {key: index(row.value) for key, row in rows.items() if row.value}
    entries = {value + b"/" + key for key, (value, live) in indexed.items() if live}
    return rows, entries, max((r.source_offset for r in records), default=0), superseded
