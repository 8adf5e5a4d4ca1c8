"""All steps of a repartition, in order; each can be repeated after an interruption."""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Self

from agents.ops.repartition import groups
from agents.ops.repartition.logs import LogStaging, kept, staging_of
from agents.ops.repartition.plan import Plan, PlanStore, TopicPlan, parse
from agents.ops.repartition.stage import COPIED, Progress, Stage
from agents.ops.repartition.swap import Swap
from topics.catalog import SHOP_LAYOUT, TOPICS
from topics.cli import CommandError
from topics.kafka.reader import TopicReader
from topics.kafka.settings import KafkaSettings
from topics.kafka.topic_admin import TopicAdmin
from topics.layout import layout_of
from topics.topic import FOREVER
from topics.topology import CHANGELOGS, GROUPS, LOGS

MOVED = (
    *(t for t in TOPICS if t.partitions is None and t not in CHANGELOGS),
    *CHANGELOGS,
)
"""The topics that have as many partitions as the setting `PARTITIONS`.

Rows come last: they get offsets of the new topics of their sources.
"""

_OWN_GROUPS = tuple(dict.fromkeys(GROUPS.values()))
_ATTEMPTS = 5
_SESSION_SECONDS = 30.0
_POLL_SECONDS = 0.2


class Repartition:
    """A repartition of the topics of a cluster, whose workers are stopped."""

    def __init__(self, cluster: KafkaSettings, progress: Progress) -> None:
        self._cluster = cluster
        self._progress = progress
        self._admin = TopicAdmin(cluster)
        self._store = PlanStore(cluster)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(groups.exclusive(self._cluster))
            await stack.enter_async_context(self._admin)
            await stack.enter_async_context(self._store)
            async with TopicReader(self._cluster) as reader:
                self._layout = await layout_of(reader)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def run(self, partitions: int) -> list[str]:
        """Begin, or go on; return lines about the result.

        Raises:
            CommandError: workers run, topics are missing, or another repartition is
                unfinished.
        """
        plan = await self._plan(partitions)
        if plan is None:
            return [f"the topics have {partitions} partitions already"]
        staging = LogStaging(self._cluster, self._admin, self._layout, plan)
        if not plan.is_swapping:
            await Stage(staging, self._store, self._progress).run()
            plan.is_swapping = True
            await self._store.save(plan)
        swap = Swap(self._cluster, self._admin, staging, plan, self._store)
        for topic in MOVED:
            records = sum(plan.topics[topic.name].counts)
            with self._progress(f"{topic.name}: replaced", records) as advance:
                await swap.replace(topic, advance)
        left_out = await self._commit(plan)
        await self._store.finish(plan.layout_after(self._layout))
        return [
            f"the topics have {partitions} partitions: set PARTITIONS={partitions}",
            *(
                f"group {group} has members: its offsets were not moved"
                for group in left_out
            ),
        ]

    async def abort(self) -> list[str]:
        """Undo what is staged.

        Raises:
            CommandError: old topics are being replaced already.
        """
        if self._layout.plan is None:
            return ["no repartition is unfinished"]
        plan = parse(self._layout.plan)
        if plan.is_swapping:
            raise CommandError(
                "topics are being replaced already, so it can only go on:"
                f" call it with {plan.partitions}"
            )
        for topic in COPIED:
            await self._admin.delete(staging_of(topic).name)
        await self._store.delete()
        if not self._layout.generation:
            await self._admin.delete(SHOP_LAYOUT.name)
        return ["the repartition is undone"]

    async def _plan(self, partitions: int) -> Plan | None:
        """Return the unfinished plan, or a new one; None: nothing is to be done."""
        if self._layout.plan is None:
            if await self._has(partitions):
                return None
            await self._require_no_members()
            plan = await self._new_plan(partitions)
            await self._store.save(plan)
        else:
            plan = parse(self._layout.plan)
            if plan.partitions != partitions:
                raise CommandError(
                    f"a repartition to {plan.partitions} partitions is unfinished:"
                    f" call it with {plan.partitions}, or with --abort"
                )
        # Workers that have started before they could see the plan are members by now.
        await self._require_no_members()
        return plan

    async def _has(self, partitions: int) -> bool:
        existing = await self._admin.partitions()
        if missing := ", ".join(t.name for t in MOVED if not existing.get(t.name)):
            raise CommandError(f"there are no topics {missing}, or no right to see them")
        counts = {existing[topic.name] for topic in MOVED}
        if len(counts) > 1:
            raise CommandError(f"the topics have different partitions: {sorted(counts)}")
        return counts == {partitions}

    async def _require_no_members(self) -> None:
        """Wait a while: a stopped worker is a member until its session ends."""
        deadline = time.monotonic() + _SESSION_SECONDS
        async with TopicReader(self._cluster) as reader:
            while running := [g for g in _OWN_GROUPS if await reader.has_members(g)]:
                if time.monotonic() > deadline:
                    groups_with_members = ", ".join(running)
                    raise CommandError(f"stop the workers first, of: {groups_with_members}")
                await asyncio.sleep(_POLL_SECONDS)

    async def _new_plan(self, partitions: int) -> Plan:
        existing = await self._admin.existing(topic.name for topic in MOVED)
        replication = max(topic.replication for topic in existing.values())
        # As durable as the topics: a lost plan would leave them half replaced.
        config = SHOP_LAYOUT.config(FOREVER) | kept(existing[MOVED[0].name].own_config)
        await self._admin.create_and_wait(SHOP_LAYOUT.name, 1, replication, config)
        plans = {
            name: TopicPlan(found.partitions, found.replication, found.own_config)
            for name, found in existing.items()
        }
        async with TopicReader(self._cluster) as reader:
            others = await reader.committed_by_others({*_OWN_GROUPS}, LOGS)
        for group, offsets in others.items():
            for tp, offset in offsets.items():
                plans[tp.topic].groups.setdefault(group, {})[tp.partition] = offset
        return Plan(partitions, self._layout.generation + 1, plans)

    async def _commit(self, plan: Plan) -> list[str]:
        """Commit the offsets of all groups; return the other groups that have members.

        The deletion of a topic deletes its offsets, perhaps later than new ones are there.
        """
        own = groups.offsets_of_shop(plan)
        expected = {
            tp: offset for offsets in own.values() for tp, offset in offsets.items()
        }
        async with TopicReader(self._cluster) as reader:
            for _ in range(_ATTEMPTS):
                for group, offsets in own.items():
                    if not await groups.commit(self._cluster, group, offsets):
                        raise CommandError(f"stop the workers first: {group} has members")
                if await reader.committed(GROUPS) == expected:
                    break
            else:
                raise CommandError("committed offsets are lost: call it again")
        others = groups.offsets_of_others(plan).items()
        return [
            g for g, offsets in others if not await groups.commit(self._cluster, g, offsets)
        ]
