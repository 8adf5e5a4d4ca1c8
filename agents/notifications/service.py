"""The notifications service: logs the events of orders and writes their pending rows.

An event is committed when its row and its pending rows are in the changelog. Each
transport delivers its pending rows afterwards. A crash between a delivery and the removal
of its pending row repeats the delivery. Mails and webhooks carry the event's id, so that a
receiver can recognise a repeat.
"""

import asyncio
from collections.abc import Container, Iterator
from functools import cached_property
from typing import Any

from aiokafka.structs import ConsumerRecord

from agents.notifications.backoff import DEFAULT_BACKOFF, Backoff
from agents.notifications.delivery import TransportDelivery, log_notification
from agents.notifications.opt_out import OptOut
from agents.notifications.pending import encode, pending_key
from agents.notifications.sent_log import (
    OPTED_OUT,
    SENT,
    TOO_OLD,
    Rows,
    SentLog,
    event_row,
    is_too_old,
)
from agents.notifications.transports import create_transports
from agents.runtime.collector import Deliveries, Publisher, RecordCollector
from agents.runtime.fail_stop import fail_stop
from agents.runtime.in_flight import InFlightBatches, PartitionRecords, unrevoked
from agents.runtime.router import RecordRouter, consumer_span
from agents.runtime.transaction import MAX_BATCH_BYTES
from agents.settings import NotificationSettings
from agents.worker.service import METRICS_SECONDS, Service
from agents.worker.settings import WorkerSettings
from schemas.order import OrderStatusChanged
from topics.catalog import ORDER_EVENTS
from topics.kafka.headers import LOG_CONTEXT
from topics.telemetry import tracing

PURGE_SECONDS = 3600.0
"""Longer than a worker can be paused; changelogs are compacted after the same time."""

FETCH_INTERVAL = 0.1
"""No client waits for a notification, and one batch of many events costs a fraction of many
batches of one."""

_RECORD_BYTES = 50  # overhead of a row in the changelog


class NotificationAgent:
    """Logs each event once, and starts its delivery by each transport."""

    def __init__(
        self,
        service: Service,
        settings: NotificationSettings,
        backoff: Backoff = DEFAULT_BACKOFF,
    ) -> None:
        app = service.app
        self._pause_monitor = app.pause_monitor
        path = settings.notify_opt_out
        self._opted_out: Container[int] = OptOut(path) if path else ()
        self._app = app
        self._publisher = Publisher(app)
        self.batches = InFlightBatches()
        self._traced = tracing.is_on()
        self.sent_log = SentLog(service)
        self._deliveries = [
            TransportDelivery(
                transport, self.sent_log, app.pause_monitor, self._opted_out, backoff
            )
            for transport in create_transports(settings)
        ]
        app.add_recovery_listener(self.start)
        app.add_revocation_listener(self.stop)

    async def run(self, stream: Any) -> None:  # noqa: ANN401 -- Faust's
        """Process the stream without end."""
        async for event in stream.noack().events():
            records = await self.batches.acquire(event.message.value)
            self._pause_monitor.check()
            fetched = unrevoked(event.message.value)
            out = RecordCollector(ORDER_EVENTS)
            writes = [rows for batch in fetched for rows in self._process(batch, out)]
            # A row implies that no record before it lacks its dead letter or its forwarded
            # copy: a repartition drops such records.
            if commands := await self._publisher.send(out.commands):
                await asyncio.wait(commands)
            sent = {self._write(*rows) for rows in writes}
            sent |= await self._publisher.send(out.replies_and_events)
            self.batches.complete(event, fetched, _acknowledged(sent, out), records)

    async def start(self, recovered: set[int]) -> None:
        """Start the deliveries of all partitions, once the rows of some are recovered."""
        await self.stop()
        await self.sent_log.open(recovered)
        for delivery in self._deliveries:
            delivery.start(self.sent_log.store.active)

    async def stop(self) -> None:
        """Stop the deliveries; return when the changelog has all outcomes."""
        await asyncio.gather(*(delivery.stop() for delivery in self._deliveries))
        await self.sent_log.flush()

    async def measure(self) -> None:
        """Update the gauges."""
        for delivery in self._deliveries:
            delivery.measure()

    async def purge(self) -> None:
        """Drop the tombstones of deliveries that are complete for some time."""
        for delivery in self._deliveries:
            delivery.purge()

    def _process(
        self, batch: PartitionRecords, out: RecordCollector
    ) -> Iterator[tuple[int, Rows, int]]:
        """Log the new events of a batch; yield their rows, in chunks of bounded size.

        Each chunk has its partition and its source offset.
        """
        partition = batch.tp.partition
        if partition not in self.sent_log.store.active:
            fail_stop("%s came before its rows were recovered", batch.tp)
        known: set[bytes] = set()
        rows: Rows = {}
        size = 0
        for record in batch.records:
            new = self._rows(record, out, known)
            rows |= new
            known |= new.keys()
            size += sum(_RECORD_BYTES + len(k) + len(row or b"") for k, row in new.items())
            if size > MAX_BATCH_BYTES:
                yield partition, rows, record.offset + 1
                rows, size = {}, 0
        if rows:
            yield partition, rows, batch.end

    def _rows(
        self, record: ConsumerRecord, out: RecordCollector, before: Container[bytes]
    ) -> Rows:
        """Log a new event and return its rows; none for a repeated event."""
        envelope = self._router.route(record, out)
        if envelope is None:
            return {}
        if self._traced:
            envelope = out.spans.enter_context(consumer_span(envelope, record))
        event = envelope.request
        if not isinstance(event, OrderStatusChanged):
            raise TypeError(f"not an event of {ORDER_EVENTS.name}: {event!r}")
        key = event.event_id.encode()
        if key in before or self.sent_log.store.get(record.partition, key):
            return {}
        token = LOG_CONTEXT.set(envelope.reply_context.headers)
        outcome = OPTED_OUT if event.user in self._opted_out else SENT
        if is_too_old(event):
            outcome = TOO_OLD
        log_notification(event, "log", outcome)
        LOG_CONTEXT.reset(token)
        if outcome == TOO_OLD:
            return {}
        transports = [d.name for d in self._deliveries if outcome == SENT]
        rows: Rows = {key: event_row(event, outcome, transports)}
        if transports:
            pending = encode(record, event)
            for transport in transports:
                rows[pending_key(transport, record.offset, event.order_id)] = pending
        return rows

    @cached_property
    def _router(self) -> RecordRouter:
        app = self._app
        return RecordRouter(ORDER_EVENTS, app.settings.partitions, app.generation)

    def _write(self, partition: int, rows: Rows, source_offset: int) -> asyncio.Future[Any]:
        acked = self.sent_log.record(partition, rows, source_offset)
        offsets = self.sent_log.store.offsets
        assigned = offsets[partition]

        def stored(_: Any) -> None:  # noqa: ANN401 -- a future
            if offsets.get(partition) is assigned:
                for delivery in self._deliveries:
                    delivery.added(partition, rows)

        acked.add_done_callback(stored)
        return acked


async def _acknowledged(sent: Deliveries, out: RecordCollector) -> None:
    """Wait until the brokers have all records of a batch."""
    with out.spans:
        if sent:
            await asyncio.wait(sent)


def build(settings: WorkerSettings) -> Service:
    """Return the service.

    Raises:
        ValidationError: a notification setting is invalid.
    """
    service = Service("notifications", settings, FETCH_INTERVAL)
    agent = NotificationAgent(service, NotificationSettings())
    service.add_agent(ORDER_EVENTS, agent.run)
    service.add_timer(PURGE_SECONDS, agent.purge)
    if settings.metrics_port:
        service.add_timer(METRICS_SECONDS, agent.measure)
    return service
