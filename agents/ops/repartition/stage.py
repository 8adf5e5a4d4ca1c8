"""Stages all topics of a plan; nothing here changes the old topics."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from aiokafka import TopicPartition

from agents.ops.repartition import rows
from agents.ops.repartition.logs import Advance, EventLocations, LogStaging
from agents.ops.repartition.plan import PlanStore, Step
from topics.catalog import ORDER_EVENTS, SENT_CHANGELOG
from topics.kafka.reader import TopicReader
from topics.topic import Topic
from topics.topology import CHANGELOGS, GROUPS, LOGS

COPIED = (*LOGS, *CHANGELOGS)
"""The topics whose records are copied."""

Progress = Callable[[str, int], AbstractContextManager[Advance]]
"""Shows the progress of a step, of so many records."""

_TABLES = {topic.source: topic for topic in CHANGELOGS}


@dataclass(frozen=True, slots=True)
class Stage:
    """The first stage of a repartition."""

    logs: LogStaging
    store: PlanStore
    progress: Progress

    async def run(self) -> None:
        """Stage the topics that are not staged yet."""
        topics, cluster = self.logs.plan.topics, self.logs.cluster
        if topics[SENT_CHANGELOG.name].step is Step.PLANNED:
            # Its pending rows need the new offsets of their events, which are not stored.
            topics[ORDER_EVENTS.name].step = Step.PLANNED
        left = [topic for topic in COPIED if topics[topic.name].step is Step.PLANNED]
        if not left:
            return
        partitions = topics[left[0].name].partitions
        generation = self.logs.layout.generation
        async with (
            rows.opened(cluster, partitions, generation) as stores,
            TopicReader(cluster) as reader,
        ):
            committed = await reader.committed(GROUPS)
            events: EventLocations = {}
            for topic in left:
                if topic in LOGS:
                    await self._stage_log(topic, committed, stores, events)
                else:
                    await self._stage_rows(topic, stores, events)
                await self.store.save(self.logs.plan)

    async def _stage_log(
        self,
        topic: Topic,
        committed: Mapping[TopicPartition, int],
        stores: rows.Stores,
        events: EventLocations,
    ) -> None:
        planned, partitions = self.logs.plan.topics[topic.name], self.logs.plan.partitions
        ranges = await self.logs.ranges(topic, planned.partitions)
        # A log that lacks its first records must not look as if it had them.
        is_cut = any(part.begin for part in ranges.values())
        planned.fillers = [int(is_cut)] * partitions
        table = _TABLES.get(topic)
        included = rows.included(stores[table.name]) if table else {}
        if topic is ORDER_EVENTS:
            begins = {tp.partition: part.begin for tp, part in ranges.items()}
            store = stores[SENT_CHANGELOG.name]
            located, gone = rows.pending_events(store, begins, partitions)
            events.update(located)
            planned.fillers = [*map(max, planned.fillers, gone)]
        count = sum(part.end - part.begin for part in ranges.values())
        with self.progress(f"{topic.name}: staged", count) as advance:
            found = events if topic is ORDER_EVENTS else {}
            await self.logs.stage(topic, ranges, (committed, included), found, advance)

    async def _stage_rows(
        self, topic: Topic, stores: rows.Stores, events: EventLocations
    ) -> None:
        logs, store = self.logs, stores[topic.name]
        staging = rows.RowStaging(logs.cluster, logs.admin, logs.plan)
        old = range(logs.plan.topics[topic.name].partitions)
        count = sum(1 for number in old for _ in store.rows(number))
        with self.progress(f"{topic.name}: staged", count) as advance:
            await staging.stage(topic, store, events, advance)
