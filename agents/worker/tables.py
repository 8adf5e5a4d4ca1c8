"""Faust's tables, with their rows in a `StateStore`, and a recovery of our own.

Faust recovers through the group's consumer: it stops the flow, seeks, and resumes. Records
were skipped, and queued ones lost; it read 4,500 records a second. Here the group's
consumer stands still until the tables are complete. Each changelog is read by a consumer
of its own, from the end of the local rows.
"""

import asyncio
import logging
import time
from typing import Any, NoReturn

import faust
from aiokafka.errors import KafkaError
from faust import tables
from faust.stores import base
from faust.types import TP

from agents.runtime import metrics
from agents.runtime.changelog import read_changelog
from agents.runtime.fail_stop import fail_stop
from agents.runtime.state_store import StateStore

log = logging.getLogger(__name__)


class StateStoreAdapter(base.Store):
    """Lets a Faust table own a `StateStore`; agents read and write the store itself."""

    rows: StateStore

    async def on_start(self) -> None:
        """Open the store."""
        path = self.app.settings.state_dir / self.table.name
        self.rows = StateStore(path, self.app.cluster_id, **self.options)

    async def on_stop(self) -> None:
        """Close the rows."""
        self.rows.close()

    def _unsupported(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("rows are recovered by agents.runtime.changelog")

    apply_changelog_batch = reset_state = _unsupported
    backup_partition = restore_backup = _unsupported


class Recovery(faust.Service):
    """Replaces `faust.tables.recovery.Recovery`, with the members that Faust uses."""

    abstract = False

    def __init__(self, app: Any, tables: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.app = app
        self.tables = tables
        self.completed = asyncio.Event()
        self._rebalanced = asyncio.Event()
        self._rebalance = 0

    def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Keep the rows: mostly the same partitions are assigned again."""

    async def on_rebalance(self, *_: Any, **__: Any) -> None:
        """Recover the partitions that the group has just assigned."""
        self.app.in_recovery = True
        metrics.RECOVERING.set(1)
        self._rebalance = self.app.rebalancing_count
        self._rebalanced.set()

    @faust.Service.task
    async def _recover_after_rebalances(self) -> None:
        while not await self.wait_for_stopped(self._rebalanced):
            self._rebalanced.clear()
            rebalance = self._rebalance
            try:
                await self._recover(rebalance)
            except Exception as error:  # noqa: BLE001 -- a half table must not serve
                if rebalance == self.app.rebalancing_count:
                    fail_stop("event=recovery-failed reason=%r", error)
                log.info("event=recovery-abandoned cause=rebalance reason=%r", error)

    async def _recover(self, rebalance: int) -> None:
        await self.app.consumer.wait_for_stopped_flow()
        began = time.monotonic()
        rows = sum(await asyncio.gather(*map(self._recover_table, self.tables.values())))
        if rebalance != self.app.rebalancing_count:
            return
        for table in self.tables.values():
            await table.call_recover_callbacks()
        seconds = time.monotonic() - began
        metrics.RECOVERY.observe(seconds)
        metrics.RECOVERED.inc(rows)
        log.info("event=recovered rows=%d seconds=%.2f", rows, seconds)
        await self._resume(rebalance)

    async def _recover_table(self, table: Any) -> int:
        topic = table.changelog_topic.get_topic_name()
        actives = self.app.assignor.assigned_actives()
        assigned = {tp.partition for tp in actives if tp.topic == topic}
        store: StateStore = table.data.rows
        for partition in {*store.offsets, *store.partitions()} - assigned:
            store.release(partition)
        if not assigned:
            return 0
        return await read_changelog(topic, store, assigned, self.app.settings)

    async def _resume(self, rebalance: int) -> None:
        """Resume the flow of records, as Faust's own recovery does at its end.

        A rebalance that began meanwhile stops this: its partitions are not recovered.
        """
        app, consumer = self.app, self.app.consumer
        await app.on_rebalance_complete.send()
        app.in_recovery = False
        assignment, sources = consumer.assignment(), consumer.sources()
        await consumer.perform_seek()
        if rebalance != app.rebalancing_count:
            return
        consumer.resume_partitions(sources)
        self.completed.set()
        app.flow_control.resume()
        consumer.resume_flow()
        await app._fetcher.maybe_start()
        if rebalance != app.rebalancing_count:
            return
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        app.on_rebalance_end()
        metrics.RECOVERING.set(0)
        numbers = ",".join(map(str, sorted({tp.partition for tp in assignment})))
        log.info("event=ready partitions=%d numbers=%s", len(assignment), numbers)


class TableManager(tables.TableManager):
    """All tables of a worker."""

    _recovery: Recovery | None = None

    @property
    def recovery(self) -> Recovery:
        """The recovery of the tables."""
        if self._recovery is None:
            self._recovery = Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def flush_rows(self) -> None:
        """Flush local rows, and keep those young that have all of their changelog.

        Rows that became too old without an assignment are dropped.
        """
        for table in self.values():
            store: StateStore = table.data.rows
            for partition in set(store.partitions()) - store.offsets.keys():
                store.release(partition)
            topic, at = table.changelog_topic.get_topic_name(), time.time()
            tps = [TP(topic, partition) for partition in store.offsets]
            try:
                ends = await self.app.consumer.highwaters(*tps) if tps else {}
            except KafkaError as error:
                log.warning("event=rows-not-confirmed topic=%s reason=%r", topic, error)
                ends = {}
            for tp, end in ends.items():
                store.confirm(tp.partition, end, at)
            store.database.flush(wait=False)

    async def on_start(self) -> None:
        """Start without Faust's delay of a second for tables that are declared late.

        All tables are declared before the app starts.
        """
        await self._update_channels()
        await self.recovery.start()
