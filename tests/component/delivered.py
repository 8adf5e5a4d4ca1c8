"""A consumer without agents, and its group."""

import asyncio
import logging
from collections.abc import Mapping

from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata
from faust.types import TP

from agents.runtime.in_flight import ConsumerRecords, PartitionRecords
from agents.worker.consumer import Consumer
from schemas.stock import ListStocks
from tests.component.worker_harness import (
    WorkerHarness,
    record,
)

log = logging.getLogger(__name__)

HERE = TP("stock.requests", 0)

THERE = TP("stock.requests", 1)


class Delivered(Consumer):
    """The consumer, without agents and without a group."""

    polls: list[ConsumerRecords]
    commits: list[Mapping[TP, int]]
    refused = False

    @property
    def batches(self) -> list[PartitionRecords]:
        return [batch for poll in self.polls for batch in poll]

    async def _dispatch(self, poll: ConsumerRecords) -> None:
        self.polls.append(poll)

    async def _commit(self, offsets: Mapping[TP, int], _: int) -> bool:
        self.commits.append(offsets)
        return not self.refused


class Group:
    """The group's consumer, and its coordinator.

    Attributes:
        joins: how often the member is to join again.
    """

    leaves = False
    joins = 0

    is_joining = False

    def __init__(self, **committed: OffsetAndMetadata) -> None:
        self.committed = {
            TopicPartition(HERE.topic, int(number[1:])): offset
            for number, offset in committed.items()
        }
        self.generation = 3
        self.sought: dict[TopicPartition, int | str] = {}
        self.resumed: set[TopicPartition] = set()
        self.assigned = {TopicPartition(*HERE), TopicPartition(*THERE)}
        self._coordinator = self

    def _ensure_consumer(self) -> "Group":
        return self

    def assignment(self) -> set[TopicPartition]:
        return self.assigned

    def subscription(self) -> set[str]:
        return {HERE.topic}

    async def fetch_committed_offsets(
        self, tps: list[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        await asyncio.sleep(0)
        return {tp: self.committed[tp] for tp in tps if tp in self.committed}

    async def commit_offsets(
        self, _: None, offsets: Mapping[TopicPartition, OffsetAndMetadata]
    ) -> None:
        self.committed |= offsets

    def seek(self, tp: TopicPartition, offset: int) -> None:
        if tp not in self.assigned:
            raise IllegalStateError(tp)
        self.sought[tp] = offset

    async def seek_to_beginning(self, tp: TopicPartition) -> None:
        self.sought[tp] = "beginning"

    def resume(self, *tps: TopicPartition) -> None:
        self.resumed.update(tps)

    def request_rejoin(self) -> None:
        self.joins += 1

    def verify_event_path(self, _: float, tp: TopicPartition) -> None:
        log.error("no events of %s", tp)  # as Faust's does after five minutes


class Owner(Delivered):
    """A consumer that commits."""

    _commit = Consumer._commit  # noqa: SLF001


async def no_callback(_: object) -> None:
    """Take a message; none is delivered here."""


async def started(harness: WorkerHarness, kind: type[Delivered]) -> Delivered:
    app = harness.app
    consumer = kind(
        app.transport,
        callback=no_callback,
        on_partitions_revoked=app.on_partitions_revoked,
        on_partitions_assigned=app.on_partitions_assigned,
    )
    consumer.polls, consumer.commits = [], []
    consumer._thread = Group()  # noqa: SLF001
    await consumer.take_over({0, 1})
    await consumer.serve({0, 1})
    return consumer


def records(*offsets: int) -> list[ConsumerRecord]:
    return [record(ListStocks(sku=1), partition=0, offset=offset) for offset in offsets]


async def deliver(consumer: Delivered, *offsets: int) -> None:
    await fetched(consumer, {HERE: records(*offsets)})


async def fetched(consumer: Delivered, batches: Mapping[TP, list[ConsumerRecord]]) -> None:
    served = dict(consumer._served)  # noqa: SLF001
    await consumer._deliver(served, batches)  # noqa: SLF001
