"""Deliveries and commits of the consumer, whatever Faust does in between."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata
from faust.types import TP

from agents.runtime.concurrent_processor import ConcurrentProcessor
from agents.runtime.in_flight import ConsumerRecords, PartitionRecords
from agents.worker.consumer import Consumer
from agents.worker.delivery import ServedPartition
from schemas.stock import ListStocks
from tests.component.worker_harness import (
    TIME_MS,
    Stream,
    WorkerHarness,
    breathe,
    record,
)
from topics.catalog import STOCK_REQUESTS
from topics.layout import Layout

log = logging.getLogger(__name__)
HERE = TP("stock.requests", 0)
THERE = TP("stock.requests", 1)


class _Delivered(Consumer):
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


class _Group:
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

    def _ensure_consumer(self) -> "_Group":
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


class _Owner(_Delivered):
    """A consumer that commits."""

    _commit = Consumer._commit  # noqa: SLF001


async def _hang(*_: object) -> None:
    await asyncio.Event().wait()


async def _no_callback(_: object) -> None:
    """Take a message; none is delivered here."""


async def _no_subscriptions() -> None:
    """Wait for no subscription."""


@pytest.fixture
async def consumer(harness: WorkerHarness) -> _Delivered:
    return await _started(harness, _Delivered)


@pytest.fixture
async def owner(harness: WorkerHarness) -> _Delivered:
    return await _started(harness, _Owner)


async def _started(harness: WorkerHarness, kind: type[_Delivered]) -> _Delivered:
    app = harness.app
    consumer = kind(
        app.transport,
        callback=_no_callback,
        on_partitions_revoked=app.on_partitions_revoked,
        on_partitions_assigned=app.on_partitions_assigned,
    )
    consumer.polls, consumer.commits = [], []
    consumer._thread = _Group()  # noqa: SLF001
    await consumer.take_over({0, 1})
    await consumer.serve({0, 1})
    return consumer


async def test_no_error_is_logged_for_partitions_that_are_not_read(
    consumer: _Delivered, caplog: pytest.LogCaptureFixture
):
    await consumer.verify_all_partitions_active()
    assert not caplog.messages


def records(*offsets: int) -> list[ConsumerRecord]:
    return [record(ListStocks(sku=1), partition=0, offset=offset) for offset in offsets]


async def deliver(consumer: _Delivered, *offsets: int) -> None:
    await fetched(consumer, {HERE: records(*offsets)})


async def fetched(consumer: _Delivered, batches: Mapping[TP, list[ConsumerRecord]]) -> None:
    served = dict(consumer._served)  # noqa: SLF001
    await consumer._deliver(served, batches)  # noqa: SLF001


async def test_an_acknowledged_batch_is_committed_once(consumer: _Delivered):
    await deliver(consumer, 5, 6)
    await consumer.force_commit()
    assert consumer.commits == []
    consumer.batches[0].acknowledged = True
    await consumer.force_commit()
    await consumer.force_commit()
    assert consumer.commits == [{HERE: 7}]


async def test_a_record_that_is_no_part_of_the_log_is_not_delivered(consumer: _Delivered):
    """It has a copy; as a redelivered record it would be refused before that."""
    consumer.app.layout = Layout(1, {HERE.topic: {0: [(5, 7), (8, 9)]}})
    await deliver(consumer, 4, 5, 6, 7)
    await deliver(consumer, 8)
    offsets = [record.offset for batch in consumer.batches for record in batch.records]
    assert offsets == [4, 7]


async def test_nothing_is_committed_over_an_unacknowledged_batch(consumer: _Delivered):
    for offset in (5, 6, 7):
        await deliver(consumer, offset)
    first, second, _ = consumer.batches
    second.acknowledged = True
    await consumer.force_commit()
    assert consumer.commits == []
    first.acknowledged = True
    await consumer.force_commit()
    assert consumer.commits == [{HERE: 7}]


async def test_a_batch_that_faust_acked_is_not_committed_before_it_is_acknowledged(
    consumer: _Delivered,
):
    await deliver(consumer, 5)
    message = consumer._to_message(HERE, consumer.batches[0].records[-1])  # noqa: SLF001
    message.value = consumer.batches
    consumer.track_message(message)
    assert consumer.ack(message)
    await consumer.force_commit()
    assert consumer.commits == []


async def test_nothing_is_committed_before_the_member_is_connected(consumer: _Delivered):
    await consumer.revoke({HERE.partition, THERE.partition})
    consumer._thread._coordinator = None  # noqa: SLF001
    assert not await consumer.force_commit()


async def test_a_commit_waits_while_the_member_joins_again(consumer: _Delivered):
    await deliver(consumer, 5)
    consumer.batches[0].acknowledged = True
    consumer._thread.is_joining = True  # noqa: SLF001
    assert not await consumer.force_commit()
    consumer._thread.is_joining = False  # noqa: SLF001
    assert await consumer.force_commit()
    assert consumer.commits == [{HERE: 6}]


async def test_a_refused_commit_is_made_again(consumer: _Delivered):
    await deliver(consumer, 5)
    consumer.batches[0].acknowledged = consumer.refused = True
    assert not await consumer.force_commit()
    consumer.refused = False
    assert await consumer.force_commit()
    assert consumer.commits == [{HERE: 6}, {HERE: 6}]


async def test_the_time_of_the_newest_committed_record_is_known(consumer: _Delivered):
    assert consumer.committed_at(HERE) is None
    await deliver(consumer, 5)
    await fetched(consumer, {HERE: [replace(records(6)[0], timestamp=TIME_MS + 1000)]})
    for number, batch in enumerate(consumer.batches):
        batch.acknowledged = consumer.refused = True
        before = consumer.committed_at(HERE)
        await consumer.force_commit()
        assert consumer.committed_at(HERE) == before
        consumer.refused = False
        await consumer.force_commit()
        at = consumer.committed_at(HERE)
        assert at
        assert at.timestamp() * 1000 == TIME_MS + 1000 * number
    await consumer.revoke({0})
    assert consumer.committed_at(HERE) is None


@pytest.mark.parametrize("timestamp", [int(time.time() * 1000) + 86_400_000, 2**63 - 1])
async def test_a_clock_that_is_ahead_does_not_count(consumer: _Delivered, timestamp: int):
    """Rows would be deleted that later records may find."""
    await fetched(consumer, {HERE: [replace(records(5)[0], timestamp=timestamp)]})
    consumer.batches[0].acknowledged = True
    await consumer.force_commit()
    at = consumer.committed_at(HERE)
    assert at
    assert at <= datetime.now(UTC)


async def test_records_fetched_before_a_revocation_are_not_delivered_after_it(
    consumer: _Delivered,
):
    before = dict(consumer._served)  # noqa: SLF001
    await consumer.revoke({0})
    await consumer._deliver(before, {HERE: records(5), THERE: records(8)})  # noqa: SLF001
    await consumer.take_over({0})
    await consumer.serve({0})
    await consumer._deliver(before, {HERE: records(6)})  # noqa: SLF001
    assert [batch.tp for batch in consumer.batches] == [THERE]


async def test_a_delivered_record_is_not_delivered_again(consumer: _Delivered):
    await deliver(consumer, 5, 6)
    await deliver(consumer, 5, 6, 7)
    assert [batch.end for batch in consumer.batches] == [7, 8]
    assert len(consumer.batches[1].records) == 1


async def test_a_partition_begins_where_it_is_committed_or_at_its_beginning(
    consumer: _Delivered,
):
    group = consumer._thread = _Group(_0=OffsetAndMetadata(7, ""))  # noqa: SLF001
    await consumer.take_over({0, 1})
    await consumer.serve({0, 1})
    done, fresh = TopicPartition(*HERE), TopicPartition(*THERE)
    assert group.sought == {done: 7, fresh: "beginning"}
    assert group.resumed == {done, fresh}


async def test_a_member_that_is_to_leave_leaves_though_it_joins_again_before(
    consumer: _Delivered,
):
    group = consumer._thread  # noqa: SLF001
    consumer.rejoin()
    assert not group.leaves
    consumer.rejoin(leaving=True)
    consumer.rejoin()
    assert group.leaves
    assert group.joins == 3


async def test_a_batch_that_a_release_waits_for_is_among_the_oldest(consumer: _Delivered):
    await fetched(consumer, {HERE: records(5), THERE: records(8)})
    await consumer.revoke({0})
    assert {batch.tp for batch in consumer.oldest()} == {HERE, THERE}
    consumer.forget_revoked()
    assert {batch.tp for batch in consumer.oldest()} == {THERE}


async def test_a_batch_of_a_revoked_partition_is_not_committed_in_the_background(
    consumer: _Delivered,
):
    await deliver(consumer, 5)
    await consumer.revoke({0})
    consumer.batches[0].acknowledged = True
    assert consumer.batches[0].revoked
    await consumer.force_commit()
    assert consumer.commits == []


async def test_a_release_waits_for_the_agents_and_commits_what_is_acknowledged(
    consumer: _Delivered,
):
    consumer._thread = _Group(_1=OffsetAndMetadata(4, "1"))  # noqa: SLF001
    await deliver(consumer, 5)
    await deliver(consumer, 6)
    first, second = consumer.batches
    await consumer.revoke({0})
    waiting = asyncio.create_task(consumer.wait_until_done())
    for batch in (first, second):
        await breathe()
        assert not waiting.done()
        message = consumer._to_message(HERE, batch.records[-1])  # noqa: SLF001
        message.value = [batch]
        consumer.track_message(message)
        batch.acknowledged = batch is first
        consumer.ack(message)
    await waiting
    await consumer.release({0, 1})
    assert consumer.commits == [{HERE: 6, THERE: 4}]


async def test_a_partition_is_unreleased_until_it_is_committed_in_this_generation(
    consumer: _Delivered,
):
    commits = {"_0": OffsetAndMetadata(7, "2"), "_1": OffsetAndMetadata(7, "3")}
    consumer._thread = _Group(**commits)  # noqa: SLF001
    assert await consumer.unreleased({0, 1}, 3) == {0}
    group = _Group(_1=OffsetAndMetadata(7, "an older release's"))
    consumer._thread = group  # noqa: SLF001
    assert await consumer.unreleased({0, 1}, 3) == {0, 1}


async def test_to_a_member_that_was_removed_all_partitions_are_unreleased(
    consumer: _Delivered,
):
    group = _Group(_0=OffsetAndMetadata(7, "3"), _1=OffsetAndMetadata(7, "3"))
    consumer._thread = group  # noqa: SLF001
    assert await consumer.unreleased({0, 1}, -1) == {0, 1}


async def test_a_release_does_not_wait_for_other_partitions_of_the_same_poll(
    consumer: _Delivered, harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("agents.runtime.router.partition_of", lambda *_: 0)
    harness.app.consumer = consumer
    stream = Stream()
    processor = ConcurrentProcessor(harness.app, STOCK_REQUESTS, _hang)
    harness.run(processor.run(stream))
    there = [record(ListStocks(sku=1), partition=1)]
    await fetched(consumer, {HERE: records(5), THERE: there})
    [poll] = consumer.polls
    message = consumer._to_message(HERE, poll[0].records[-1])  # noqa: SLF001
    message.value = poll
    consumer.track_message(message)
    message.incref()
    stream.queue.put_nowait(harness.app.create_event(None, poll, (), message))
    await breathe()
    await consumer.revoke({0})
    await harness.app.partitions_revoked()
    await asyncio.wait_for(consumer.wait_until_done(), 1.0)
    assert not poll[1].done  # it goes on
    assert not poll[1].acknowledged


async def test_a_release_is_known_to_the_next_owner(owner: _Delivered):
    group = owner._thread  # noqa: SLF001
    group.committed[TopicPartition(*HERE)] = OffsetAndMetadata(4, "2")
    assert await owner.unreleased({0, 1}, 3) == {0, 1}
    await owner.release({0})
    assert await owner.unreleased({0, 1}, 3) == {1}
    assert group.committed == {TopicPartition(*HERE): OffsetAndMetadata(4, "3")}


async def test_a_commit_before_the_plan_is_carried_out_is_no_release(owner: _Delivered):
    """The group's generation begins when all have joined, before any has a plan."""
    group = owner._thread  # noqa: SLF001
    await deliver(owner, 5)
    owner.batches[0].acknowledged = True
    group.generation += 1
    await owner.force_commit()
    assert group.committed[TopicPartition(*HERE)].offset == 6
    assert await owner.unreleased({0}, 3) == {0}


async def test_a_partition_that_is_given_away_meanwhile_is_not_sought(
    consumer: _Delivered,
):
    group = consumer._thread = _Group(_0=OffsetAndMetadata(7, ""))  # noqa: SLF001
    await consumer.take_over({0, 1})
    group.assigned = {TopicPartition(*THERE)}
    await consumer.serve({0, 1})
    assert group.sought == {TopicPartition(*THERE): "beginning"}
    assert group.resumed == group.assigned


async def test_records_that_were_delivered_before_a_rebalance_are_not_skipped(
    consumer: _Delivered, monkeypatch: pytest.MonkeyPatch
):
    """Faust's streams skip messages of another generation than the app's."""
    topics = consumer.app.topics
    monkeypatch.setattr(topics, "maybe_wait_for_subscriptions", _no_subscriptions)
    monkeypatch.setattr(topics, "on_partitions_assigned", _no_callback)
    await consumer.update_topics()
    message = consumer._to_message(HERE, records(5)[0])  # noqa: SLF001
    consumer._thread.generation += 1  # noqa: SLF001
    await consumer.update_topics()
    assert message.generation_id == consumer.app.consumer_generation_id


async def test_a_long_fetch_is_split_into_chunks_of_bounded_size(consumer: _Delivered):
    large = [record(b"x" * 12_500, partition=0, offset=n) for n in range(4)]
    await fetched(consumer, {HERE: large, THERE: large})
    cut = [[(b.tp, len(b.records)) for b in poll] for poll in consumer.polls]
    assert cut == [[(HERE, 3)], [(HERE, 1), (THERE, 2)], [(THERE, 2)]]


async def test_a_topics_records_of_one_fetch_are_delivered_together(consumer: _Delivered):
    other = TP("order.requests", 0)
    consumer._served[other] = ServedPartition(0, 0, 0)  # noqa: SLF001
    await fetched(consumer, {HERE: records(5), other: records(3), THERE: records(8, 9)})
    assert [[b.tp for b in poll] for poll in consumer.polls] == [[HERE, THERE], [other]]


async def test_each_partition_of_a_poll_is_committed_separately(consumer: _Delivered):
    await fetched(consumer, {HERE: records(5), THERE: records(8, 9)})
    consumer.batches[1].acknowledged = True
    await consumer.force_commit()
    assert consumer.commits == [{THERE: 10}]
