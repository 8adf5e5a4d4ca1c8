"""Replaces the old topics by new ones of the same name, from the staging topics.

The first step for each topic is to make it refuse writes, so that no client has a record
acknowledged in a topic that is deleted a moment later. Each step can be repeated.
"""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.structs import ConsumerRecord

from agents.ops.repartition import groups
from agents.ops.repartition.filling import Filling, HeadersOf
from agents.ops.repartition.logs import Advance, LogStaging, copying, staging_of
from agents.ops.repartition.placement import LAST, PROBE
from agents.ops.repartition.plan import Plan, PlanStore, Step, TopicPlan
from agents.runtime.changelog import offset_headers
from agents.runtime.producer import Headers
from topics.cli import CommandError
from topics.kafka.settings import KafkaSettings
from topics.kafka.topic_admin import TopicAdmin
from topics.topic import Topic, TopicKind

_FREEZE_SECONDS = 60.0
_POLL_SECONDS = 0.05
_NO_RECORDS = {"max.message.bytes": "68"}
"""The size of a batch with one record without key, value and headers."""

_TIME = "message.timestamp.type"


@dataclass(frozen=True, slots=True)
class Swap:
    """Replaces the topics of a plan."""

    cluster: KafkaSettings
    admin: TopicAdmin
    staging: LogStaging
    plan: Plan
    store: PlanStore

    async def replace(self, topic: Topic, advance: Advance) -> None:
        """Replace a topic."""
        planned = self.plan.topics[topic.name]
        if topic.kind is TopicKind.REPLIES:
            await self._replace_replies(topic, planned)
            return
        if planned.step is Step.STAGED:
            if topic.kind is TopicKind.CHANGELOG:
                planned.step = Step.FROZEN  # only workers write it, and they are stopped
            else:
                await self._freeze(topic, planned)
                await self.staging.catch_up(topic, advance)
            await self.store.save(self.plan)
        if planned.step is Step.FROZEN:
            await self._delete_old(topic, planned)
        if planned.step is Step.DELETED:
            await self._create(topic, planned, copying(planned.config))
            await self._fill(topic, planned, advance)
            planned.step = Step.FILLED
            await self.store.save(self.plan)
        if planned.step is Step.FILLED:
            fillers = groups.by_partition(topic.name, planned.fillers)
            await self.admin.delete_records({tp: n for tp, n in fillers.items() if n})
            await self.admin.configure({topic.name: planned.config})
            await self.admin.delete(staging_of(topic).name)
            await self._done(planned)

    async def _replace_replies(self, topic: Topic, planned: TopicPlan) -> None:
        """Create a topic of replies empty: their callers wait no longer."""
        if planned.step is Step.PLANNED:
            await self._delete_old(topic, planned)
        if planned.step is Step.DELETED:
            await self._create(topic, planned, planned.config)
            await self._done(planned)

    async def _delete_old(self, topic: Topic, planned: TopicPlan) -> None:
        # A broker that has just started may not see a topic that is there.
        if (await self.admin.partitions()).get(topic.name) in (None, planned.partitions):
            await self.admin.delete(topic.name)
        planned.step = Step.DELETED
        await self.store.save(self.plan)

    async def _create(
        self, topic: Topic, planned: TopicPlan, config: dict[str, str]
    ) -> None:
        """Create the new topic, unless it exists.

        Where clients can create topics (`auto.create.topics.enable`), one may have created
        it with other partitions, and have records in it that must not be deleted.
        """
        name, new = topic.name, self.plan.partitions
        found = (await self.admin.partitions()).get(name, 0)
        if found not in (0, new):
            raise CommandError(
                f"{name}: a client created it again, with {found} partitions: stop the"
                " clients, save its records, delete it, and go on"
            )
        await self.admin.create_and_wait(name, new, planned.replication, config)

    async def _done(self, planned: TopicPlan) -> None:
        planned.step = Step.DONE
        await self.store.save(self.plan)

    async def _fill(self, topic: Topic, planned: TopicPlan, advance: Advance) -> None:
        filling = Filling(
            self.cluster, topic, planned, self.plan.generation, self._headers_of(topic)
        )
        if foreign := await filling.run(advance):
            # The broker's clock stamps the copies, as it stamps any request.
            stamped = {n: v for n, v in planned.config.items() if n == _TIME}
            await self.admin.configure({topic.name: copying(planned.config) | stamped})
            await filling.append(foreign)

    def _headers_of(self, topic: Topic) -> HeadersOf:
        """Return the headers of staged records in the new topic: rows get their offset."""
        if topic.source is None:
            return lambda record: [*record.headers]
        included = self.plan.topics[topic.source.name].included
        headers = [offset_headers(offset, self.plan.generation) for offset in included]

        def of_row(record: ConsumerRecord) -> Headers:
            return headers[record.partition]

        return of_row

    async def _freeze(self, topic: Topic, planned: TopicPlan) -> None:
        """Make a topic refuse all writes; return when it has all acknowledged records.

        A probe that a leader still accepts is dropped with the copy of the topic. A leader
        that refuses it may have records that no replica has fetched yet. They can't be
        read, but clients may have them acknowledged later. The last record, the only one
        that is small enough, is acknowledged behind them.
        """
        await self.admin.configure({topic.name: planned.config | _NO_RECORDS})
        deadline = time.monotonic() + _FREEZE_SECONDS
        partitions = range(planned.partitions)
        left: Iterable[int] = partitions
        async with AIOKafkaProducer(**self.cluster.client_options(), acks="all") as probes:
            while left := await _accepting(probes, topic, left, PROBE):
                if time.monotonic() > deadline:
                    raise CommandError(f"{topic.name}: partitions {left} accept writes")
                await asyncio.sleep(_POLL_SECONDS)
            await _accepting(probes, topic, partitions, LAST)


async def _accepting(
    producer: AIOKafkaProducer,
    topic: Topic,
    numbers: Iterable[int],
    headers: Iterable[tuple[str, bytes]],
) -> list[int]:
    """Return the partitions that accept an empty record; then it is acknowledged."""
    deliveries = {}
    for number in numbers:
        batch = producer.create_batch()
        batch.append(key=None, value=None, timestamp=None, headers=[*headers])
        batch.close()
        deliveries[number] = await producer.send_batch(batch, topic.name, partition=number)
    accepting = []
    for number, delivery in deliveries.items():
        try:
            await delivery
        except MessageSizeTooLargeError:
            continue
        accepting.append(number)
    return accepting
