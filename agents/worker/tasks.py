"""Carries out the plans of the group: releases partitions, takes others over, warms some.

A partition moves in these steps, as in Kafka's cooperative rebalancing, but within one
rebalance. Until the plan arrives, its owner serves it. Then the owner ends what is in
flight, and commits its offsets with the plan's generation as their metadata. The next
owner waits for that commit, reads the rest of the changelogs, and serves the partition.
Other partitions are served all the time.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

import faust
from aiokafka import TopicPartition

from agents.runtime import metrics
from agents.runtime.changelog import read_changelogs
from agents.runtime.fail_stop import fail_stop
from agents.runtime.standby import StandbyReader
from agents.runtime.state_store import StateStore
from agents.worker.assignment import WARM_RECORDS, Member, MemberPlan

RELEASE_RATIO = 1 / 2
"""Of the session timeout. An owner that takes longer is fenced by its changelogs."""

RELEASE_POLL_SECONDS = 0.01
HAND_OVER_SECONDS = 8.0
"""Docker kills a container ten seconds after its SIGTERM."""

log = logging.getLogger(__name__)


class TaskManager(faust.Service):
    """Replaces `faust.tables.recovery.Recovery`, with the members that Faust uses.

    Attributes:
        completed: set once this worker serves what the group gave it first.
    """

    abstract = False

    def __init__(self, app: Any, tables: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.app = app
        self.completed = asyncio.Event()
        self._tables = tables
        self._plan = MemberPlan()
        self._stores: dict[str, StateStore] = {}
        self._standbys = StandbyReader(self._stores, app.settings, self._on_progress)
        self._owned: set[int] = set()
        self._served: set[int] = set()
        self._restoring: asyncio.Task[None] | None = None
        self._is_reading = False
        self._was_interrupted = False
        self._leaving = False
        self._closed = False
        self._moving = asyncio.Lock()
        self._handed_over = asyncio.Event()

    @property
    def standby_lags(self) -> Mapping[TopicPartition, int]:
        """The changelog records to be read, of each partition that is followed."""
        return self._standbys.lags

    async def open(self) -> None:
        """Measure how far stored rows lag: the group's leader prefers warm members."""
        for table in self._tables.values():
            self._stores[table.changelog_topic.get_topic_name()] = table.data.rows
        stored = [set(store.partitions()) for store in self._stores.values()]
        await self._standbys.measure(set.intersection(*stored) if stored else ())

    def on_partitions_revoked(self, revoked: Any) -> None:
        """Do nothing: Faust calls this when it stops."""

    def member(self) -> Member:
        """Describe this worker to the group's leader."""
        followed = range(self.app.settings.partitions)
        lags = {p: lag for p in followed if (lag := self._standbys.lag(p)) is not None}
        return Member(frozenset(self._owned), lags, self._leaving)

    async def handle_assignment(self) -> None:
        """Carry out the plan that the assignor has received."""
        self.app.pause_monitor.arm()
        async with self._moving:
            generation = self.app.consumer.generation
            await self._stop_restoring()
            self._plan = plan = self.app.assignor.plan
            await self._release(self._owned - plan.active)
            await self.app.consumer.update_topics()
            gained = plan.active - self._owned
            if waiting := gained & plan.handed_over:
                gained -= await self._await_release(waiting, generation)
            if self._closed:
                return
            await self.app.consumer.take_over(gained)
            self._owned |= gained
            if self._leaving and not self._owned:
                self._handed_over.set()
            self._is_reading = True
            self._restoring = asyncio.create_task(self._restore())

    async def handle_lost_all(self) -> None:
        """Give up all partitions: others may own them already."""
        async with self._moving:
            await self._stop_restoring()
            await self._release(set(self._owned), commit=False)

    async def hand_over(self) -> None:
        """Let the other members take over, if there are any; then leave the group."""
        if self.app.assignor.members < 2:  # noqa: PLR2004
            return
        log.info("event=handing-over partitions=%s", _numbers(self._owned))
        self._leaving = True
        self.app.consumer.rejoin(leaving=True)
        try:
            async with asyncio.timeout(HAND_OVER_SECONDS):
                await self._handed_over.wait()
        except TimeoutError:
            log.warning("event=not-handed-over partitions=%s", _numbers(self._owned))

    async def close(self) -> None:
        """End the work of all partitions, and read no more changelogs."""
        self._closed = True
        async with self._moving:
            await self._stop_restoring()
            await self._release(set(self._owned))
            await self._standbys.stop()

    async def _release(self, lost: set[int], *, commit: bool = True) -> None:
        """End the work of partitions; commit it, for their next owners."""
        if not lost:
            return
        began = time.monotonic()
        self._served -= lost
        self._was_interrupted = True
        consumer = self.app.consumer
        await consumer.revoke(lost)
        await self.app.partitions_revoked()
        await consumer.wait_until_done()
        for store in self._stores.values():
            for partition in lost:
                store.release(partition)
        if commit:
            await consumer.release(lost)
        consumer.forget_revoked()
        self._owned -= lost
        seconds = time.monotonic() - began
        log.info("event=released partitions=%s seconds=%.2f", _numbers(lost), seconds)

    async def _await_release(self, partitions: set[int], generation: int) -> set[int]:
        """Wait until the owners of partitions have released them.

        Returns:
            Those that are left when the group rebalances again: their owner may have no
            plan, and serve them.
        """
        limit = self.app.settings.session_timeout_seconds * RELEASE_RATIO
        deadline = time.monotonic() + limit
        while left := await self.app.consumer.unreleased(partitions, generation):
            if self._closed or self.app.consumer.is_rebalancing:
                return left
            if time.monotonic() > deadline:
                log.warning("event=not-released partitions=%s", _numbers(left))
                break
            await asyncio.sleep(RELEASE_POLL_SECONDS)
        return set()

    async def _stop_restoring(self) -> None:
        """Abandon a recovery that reads; await one that has read all."""
        if self._restoring is not None:
            if self._is_reading:
                self._restoring.cancel()
            await asyncio.wait([self._restoring])
            self._is_reading = False

    async def _restore(self) -> None:
        try:
            if self._was_interrupted:
                await self.app.partitions_recovered(set())
            self._was_interrupted = False
            if restored := self._owned - self._served:
                await self._recover(restored)
            self._is_reading = False
            await self._serve(restored)
            await self._standbys.follow(self._plan.standby)
        except Exception as error:  # noqa: BLE001 -- a half table must not serve
            fail_stop("event=recovery-failed reason=%r", error)

    async def _recover(self, partitions: set[int]) -> None:
        metrics.RECOVERING.set(1)
        began = time.monotonic()
        await self._standbys.stop()
        rows = await read_changelogs(self._stores, partitions, self.app.settings)
        seconds = time.monotonic() - began
        metrics.RECOVERY.observe(seconds)
        metrics.RECOVERED.inc(rows)
        log.info("event=recovered rows=%d seconds=%.2f", rows, seconds)

    async def _serve(self, restored: set[int]) -> None:
        for store in self._stores.values():
            store.active |= restored
        if restored:
            await self.app.partitions_recovered(restored)
        await self.app.consumer.serve(restored)
        self._served |= restored
        metrics.RECOVERING.set(0)
        log.info(
            "event=ready partitions=%d numbers=%s",
            len(self.app.consumer.assignment()),
            _numbers(self._served),
        )
        if not self.completed.is_set():
            self.app.flow_control.resume()
            self.app.consumer.resume_flow()
            await self.app._fetcher.maybe_start()
            self._tables.on_actives_ready()
            self.completed.set()

    def _on_progress(self) -> None:
        """Join the group again when what this worker is to own has become warm."""
        warming = self._plan.warming
        lags = [self._standbys.lag(partition) for partition in warming]
        if lags and all(lag is not None and lag <= WARM_RECORDS for lag in lags):
            warming.clear()
            self.app.consumer.rejoin()


def _numbers(partitions: set[int]) -> str:
    return ",".join(map(str, sorted(partitions)))
