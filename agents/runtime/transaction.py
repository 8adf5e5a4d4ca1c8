"""The rows that a run of records touches: each read once and written once."""

from dataclasses import fields
from typing import Any

import orjson
from pydantic import ValidationError

from agents.aggregate import Aggregate
from agents.runtime.state_store import StateStore

MAX_BATCH_BYTES = 256 * 2**10
_RECORD_OVERHEAD_BYTES = 300


class PartitionTransaction:
    """A run of one partition's records, folded in memory until it is written.

    Args:
        aggregate: whose rows they are.
        store: where they lie.
        partition: which partition of it.
    """

    def __init__(
        self, aggregate: Aggregate[Any, Any, Any], store: StateStore, partition: int
    ) -> None:
        self._aggregate = aggregate
        self._store = store
        self._partition = partition
        self._rows: dict[str, Any] = {}
        self._changes: dict[str, int] = {}
        self._unknown: dict[str, dict[str, Any]] = {}
        self._bytes = 0

    def state(self, keys: tuple[str, ...]) -> Any:
        """Return the state that lies under these keys."""
        return self._aggregate.state(*map(self._row, keys, range(len(keys))))

    def put(self, keys: tuple[str, ...], after: Any) -> None:
        """Keep the state as it is after a record."""
        rows = after if len(keys) > 1 else (after,)
        for place, (key, row) in enumerate(zip(keys, rows, strict=True)):
            if row is not self._rows[key]:
                self._rows[key] = row
                if row is None:
                    self._unknown.pop(key, None)
                self._changes[key] = place

    def add_bytes(self, record_bytes: int) -> bool:
        """Count a record in; say whether it is time to write.

        What is written at once must fit into one record batch of the changelog.
        """
        self._bytes += 2 * record_bytes + _RECORD_OVERHEAD_BYTES
        return self._bytes > MAX_BATCH_BYTES

    def encoded_changes(self) -> dict[bytes, bytes | None]:
        """Return the touched rows' JSON by key: entries before the shelf they are on.

        None stands for a row that is no more.
        """
        return {
            key.encode(): self._json(key, place) for key, place in self._changes.items()
        }

    def changes(self) -> list[tuple[str, Any]]:
        """Return the touched rows by key; None stands for one that is no more."""
        return [(key, self._rows[key]) for key in self._changes]

    def _row(self, key: str, place: int) -> Any:
        if key not in self._rows:
            stored = self._store.get(self._partition, key.encode())
            if stored is not None:
                self._bytes += len(stored)
                stored = self._read(key, place, stored)
            self._rows[key] = stored
        return self._rows[key]

    def _read(self, key: str, place: int, stored: bytes) -> Any:
        """Read a row; what a newer worker put into it is handed on as it is."""
        adapter = self._aggregate.adapters[place]
        try:
            return adapter.validate_json(stored, extra="forbid")
        except ValidationError:
            row = adapter.validate_json(stored)
        known = {field.name for field in fields(row)}
        unknown = {n: v for n, v in orjson.loads(stored).items() if n not in known}
        if unknown:  # else it is inside a part of the row, and not handed on
            self._unknown[key] = unknown
        return row

    def _json(self, key: str, place: int) -> bytes | None:
        row = self._rows[key]
        if row is None:
            return None
        value = self._aggregate.adapters[place].dump_json(row)
        unknown = self._unknown.get(key)
        # Both are objects, and of a row there is always something to say.
        return value if unknown is None else value[:-1] + b"," + orjson.dumps(unknown)[1:]
