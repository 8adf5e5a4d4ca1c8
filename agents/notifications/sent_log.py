"""The notifications table: outcomes of events, and pending deliveries.

The key of an event's row is its id; those of pending rows are in `pending`.
"""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import orjson

from agents.notifications.pending import PENDING, PendingDelivery
from agents.runtime.changelog import ChangelogProducer
from agents.runtime.collector import TRUNCATED, Publisher, RecordCollector
from agents.runtime.fail_stop import BackgroundTasks
from agents.runtime.layout import index_value
from agents.runtime.producer import DeliveryFuture
from agents.runtime.state_store import StateStore
from agents.worker.service import Service
from schemas.order import OrderStatusChanged
from topics.catalog import ORDER_EVENTS, SENT_CHANGELOG
from topics.topic import EVENT_RETENTION

SENT = "sent"
OPTED_OUT = "opted out"
TOO_OLD = "too old"

Rows = dict[bytes, bytes | None]

_FLUSH_SECONDS = 5.0
"""Limit of a flush at a stop without a broker."""


def event_row(event: OrderStatusChanged, outcome: str, transports: Iterable[str]) -> bytes:
    """Return the first row of an event; `outcome` is for one without transports."""
    row: dict[str, Any] = {"at": event.at.isoformat(), "outcome": outcome}
    if outcomes := dict.fromkeys(transports, PENDING):
        row |= {"outcome": PENDING, "transports": outcomes}
    return orjson.dumps(row)


def with_outcome(row: bytes, transport: str, outcome: str) -> bytes:
    """Return the row of an event with the outcome of a transport."""
    fields = orjson.loads(row)
    outcomes = fields["transports"] | {transport: outcome}
    overall = _overall(set(outcomes.values()))
    return orjson.dumps(fields | {"outcome": overall, "transports": outcomes})


def _overall(outcomes: set[str]) -> str:
    if PENDING in outcomes:
        return PENDING
    refusals = sorted(outcomes - {SENT, OPTED_OUT})
    return "; ".join(refusals) or (OPTED_OUT if OPTED_OUT in outcomes else SENT)


def sent_index(row: bytes) -> tuple[bytes, bool] | None:
    """Return the time of an event whose deliveries are complete; of other rows None."""
    if not row.startswith(b'{"at":') or (fields := orjson.loads(row))["outcome"] == PENDING:
        return None
    return index_value(datetime.fromisoformat(fields["at"]).astimezone(UTC)), True


def is_too_old(event: OrderStatusChanged) -> bool:
    """Return whether an event's row may have been deleted: so it may have been notified."""
    return event.at.astimezone(UTC) < _kept_since()


def _kept_since(_: int = 0) -> datetime:
    """Return the time of the oldest events that Kafka keeps, by this worker's clock."""
    return datetime.now(UTC) - EVENT_RETENTION


class SentLog:
    """Stores events and pending deliveries, in the table and its changelog."""

    def __init__(self, service: Service) -> None:
        self._app = service.app
        self._publisher = Publisher(service.app)
        self.table = service.add_table(SENT_CHANGELOG, sent_index, _kept_since)
        self._writes: dict[int, tuple[Rows, asyncio.Task[None]]] = {}
        self._unflushed = BackgroundTasks()

    @property
    def store(self) -> StateStore:
        """The rows."""
        store: StateStore = self.table.data.rows
        return store

    @cached_property
    def _changelog(self) -> ChangelogProducer:
        return ChangelogProducer(self._app.batching_producer, SENT_CHANGELOG, self.store)

    async def open(self, partitions: set[int]) -> None:
        """Prepare the changelog for partitions whose rows are recovered."""
        await self._changelog.rewrite_superseded(partitions)

    def record(
        self, partition: int, rows: Mapping[bytes, bytes | None], source_offset: int
    ) -> DeliveryFuture:
        """Write rows; the future is done when the changelog has them."""
        return self._changelog.produce(self.store.put(partition, rows, source_offset))

    async def complete(
        self, pending: PendingDelivery, transport: str, outcome: str
    ) -> None:
        """Remove a pending row; return when the changelog has it.

        A refused event is a dead letter before. Deliveries that end at the same moment
        share a record batch: a batch for each would cost more than the rest of the work.
        """
        if outcome not in (SENT, OPTED_OUT):
            out = RecordCollector(ORDER_EVENTS)
            reason = outcome + TRUNCATED if pending.is_cut else outcome
            out.dead_letter(pending.record, reason, self._app.generation)
            self._app.pause_monitor.check()
            await asyncio.wait(await self._publisher.send(out.commands))
        partition, event_id = pending.record.partition, pending.event.event_id.encode()
        if partition not in self._writes:
            new: Rows = {}
            task = self._unflushed.start(self._write(partition, new))
            self._writes[partition] = new, task
        rows, written = self._writes[partition]
        rows[pending.key] = None
        row = rows.get(event_id) or self.store.get(partition, event_id)
        if row is not None:
            rows[event_id] = with_outcome(row, transport, outcome)
        await asyncio.shield(written)

    async def flush(self) -> None:
        """Return when the changelog has all outcomes."""
        if self._unflushed:
            await asyncio.wait(self._unflushed, timeout=_FLUSH_SECONDS)

    async def _write(self, partition: int, rows: Rows) -> None:
        """Write the outcomes of this moment; others begin the next write."""
        del self._writes[partition]
        source_offset = self.store.offsets[partition].source_offset
        await asyncio.wait([self.record(partition, rows, source_offset)])
