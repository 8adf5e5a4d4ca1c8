"""The rows that a run of records changes: each read once and written once."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import orjson

from agents.aggregate import Aggregate, OutgoingMessage
from agents.runtime.deserializer import Envelope
from agents.runtime.state_store import StateStore

MAX_BATCH_BYTES = 256 * 2**10
_RECORD_OVERHEAD_BYTES = 300

Change = tuple[str, Any, Any]
"""A row's key, the row before the transaction and after; None: there is no row."""


class PartitionTransaction:
    """A run of one partition's records, folded in memory until it is written."""

    def __init__(
        self, aggregate: Aggregate[Any, Any, Any], store: StateStore, partition: int
    ) -> None:
        self._aggregate = aggregate
        self._store = store
        self._partition = partition
        self._stored: dict[str, Any] = {}
        self._rows: dict[str, Any] = {}
        self._changes: dict[str, int] = {}
        self._unknown: dict[str, Mapping[str, Any]] = {}
        self._bytes = 0

    def state(self, keys: tuple[str, ...], at: datetime) -> Any:
        """Return the state under these keys, without rows that have expired at a time."""
        rows = (self._unexpired(key, index, at) for index, key in enumerate(keys))
        return self._aggregate.state(*rows)

    def put(self, keys: tuple[str, ...], after: Any) -> None:
        """Keep the state after a record."""
        rows = after if len(keys) > 1 else (after,)
        for index, (key, row) in enumerate(zip(keys, rows, strict=True)):
            if row is not self._rows[key]:
                self._rows[key] = row
                if row is None:
                    self._unknown.pop(key, None)
                self._changes[key] = index

    def add_bytes(self, record_bytes: int) -> bool:
        """Add the size of a record; return whether the transaction must be written.

        All its rows must fit into one record batch of the changelog.
        """
        self._bytes += 2 * record_bytes + _RECORD_OVERHEAD_BYTES
        return self._bytes > MAX_BATCH_BYTES

    def encoded_changes(self) -> dict[bytes, bytes | None]:
        """Return the changed rows' JSON by key, in order of change; None deletes a row."""
        return {key.encode(): self._json(key, at) for key, at in self._changes.items()}

    def changes(self) -> list[Change]:
        """Return the changed rows."""
        return [(key, self._stored[key], self._rows[key]) for key in self._changes]

    def _unexpired(self, key: str, index: int, at: datetime) -> Any:
        row = self._aggregate.unexpired(self._row(key, index), at)
        if row is None:  # a new row takes over nothing
            self._unknown.pop(key, None)
        return row

    def _row(self, key: str, index: int) -> Any:
        if key not in self._rows:
            stored = self._store.get(self._partition, key.encode())
            row = None
            if stored is not None:
                self._bytes += len(stored)
                row = self._read(key, index, stored)
            self._rows[key] = self._stored[key] = row
        return self._rows[key]

    def _read(self, key: str, index: int, stored: bytes) -> Any:
        """Read a row; fields of a newer release are kept as they are."""
        row, unknown = self._aggregate.serdes[index].deserialize_all(stored)
        if unknown:
            self._unknown[key] = unknown
        return row

    def _json(self, key: str, index: int) -> bytes | None:
        row = self._rows[key]
        if row is None:
            return None
        value = self._aggregate.serdes[index].serialize(row)
        unknown = self._unknown.get(key)
        # Both are objects, and a row always has a field.
        return value if unknown is None else value[:-1] + b"," + orjson.dumps(unknown)[1:]


class Rows(Protocol):
    """The rows of a partition."""

    def state(self, keys: tuple[str, ...], at: datetime) -> Any:
        """Return the state under these keys, without rows that have expired at a time."""

    def put(self, keys: tuple[str, ...], after: Any) -> None:
        """Keep the state after a record."""


def fold(
    aggregate: Aggregate[Any, Any, Any],
    rows: Rows,
    envelope: Envelope,
    *,
    redelivered: bool = False,
) -> tuple[tuple[str, ...], Any, Any, list[OutgoingMessage]]:
    """Fold one record into rows; return its keys, state before and after, and messages."""
    request, cause = envelope.request, envelope.cause
    keys = aggregate.identify(request, cause)
    before = rows.state(keys, cause.timestamp)
    after, messages = aggregate.step(before, request, cause, redelivered=redelivered)
    if after is not before:
        rows.put(keys, after)
    return keys, before, after, messages
