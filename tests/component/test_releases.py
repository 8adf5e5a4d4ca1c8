"""Partitions that a worker takes over, and releases to the next owner."""

import asyncio

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from agents.runtime.concurrent_processor import ConcurrentProcessor
from schemas.stock import ListStocks
from tests.component.delivered import (
    HERE,
    THERE,
    Delivered,
    Group,
    Owner,
    deliver,
    fetched,
    no_callback,
    records,
    started,
)
from tests.component.worker_harness import (
    Stream,
    WorkerHarness,
    breathe,
    record,
)
from topics.catalog import STOCK_REQUESTS


async def _hang(*_: object) -> None:
    await asyncio.Event().wait()


async def _no_subscriptions() -> None:
    """Wait for no subscription."""


@pytest.fixture
async def consumer(harness: WorkerHarness) -> Delivered:
    return await started(harness, Delivered)


@pytest.fixture
async def owner(harness: WorkerHarness) -> Delivered:
    return await started(harness, Owner)


async def test_a_partition_begins_where_it_is_committed_or_at_its_beginning(
    consumer: Delivered,
):
    group = consumer._thread = Group(_0=OffsetAndMetadata(7, ""))  # noqa: SLF001
    await consumer.take_over({0, 1})
    await consumer.serve({0, 1})
    done, fresh = TopicPartition(*HERE), TopicPartition(*THERE)
    assert group.sought == {done: 7, fresh: "beginning"}
    assert group.resumed == {done, fresh}


async def test_a_member_that_is_to_leave_leaves_though_it_joins_again_before(
    consumer: Delivered,
):
    group = consumer._thread  # noqa: SLF001
    consumer.rejoin()
    assert not group.leaves
    consumer.rejoin(leaving=True)
    consumer.rejoin()
    assert group.leaves
    assert group.joins == 3


async def test_a_batch_that_a_release_waits_for_is_among_the_oldest(consumer: Delivered):
    await fetched(consumer, {HERE: records(5), THERE: records(8)})
    await consumer.revoke({0})
    assert {batch.tp for batch in consumer.oldest()} == {HERE, THERE}
    consumer.forget_revoked()
    assert {batch.tp for batch in consumer.oldest()} == {THERE}


async def test_a_batch_of_a_revoked_partition_is_not_committed_in_the_background(
    consumer: Delivered,
):
    await deliver(consumer, 5)
    await consumer.revoke({0})
    consumer.batches[0].acknowledged = True
    assert consumer.batches[0].revoked
    await consumer.force_commit()
    assert consumer.commits == []


async def test_a_release_waits_for_the_agents_and_commits_what_is_acknowledged(
    consumer: Delivered,
):
    consumer._thread = Group(_1=OffsetAndMetadata(4, "1"))  # noqa: SLF001
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
    consumer: Delivered,
):
    commits = {"_0": OffsetAndMetadata(7, "2"), "_1": OffsetAndMetadata(7, "3")}
    consumer._thread = Group(**commits)  # noqa: SLF001
    assert await consumer.unreleased({0, 1}, 3) == {0}
    group = Group(_1=OffsetAndMetadata(7, "an older release's"))
    consumer._thread = group  # noqa: SLF001
    assert await consumer.unreleased({0, 1}, 3) == {0, 1}


async def test_to_a_member_that_was_removed_all_partitions_are_unreleased(
    consumer: Delivered,
):
    group = Group(_0=OffsetAndMetadata(7, "3"), _1=OffsetAndMetadata(7, "3"))
    consumer._thread = group  # noqa: SLF001
    assert await consumer.unreleased({0, 1}, -1) == {0, 1}


async def test_a_release_does_not_wait_for_other_partitions_of_the_same_poll(
    consumer: Delivered, harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch
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


async def test_a_release_is_known_to_the_next_owner(owner: Delivered):
    group = owner._thread  # noqa: SLF001
    group.committed[TopicPartition(*HERE)] = OffsetAndMetadata(4, "2")
    assert await owner.unreleased({0, 1}, 3) == {0, 1}
    await owner.release({0})
    assert await owner.unreleased({0, 1}, 3) == {1}
    assert group.committed == {TopicPartition(*HERE): OffsetAndMetadata(4, "3")}


async def test_a_commit_before_the_plan_is_carried_out_is_no_release(owner: Delivered):
    """The group's generation begins when all have joined, before any has a plan."""
    group = owner._thread  # noqa: SLF001
    await deliver(owner, 5)
    owner.batches[0].acknowledged = True
    group.generation += 1
    await owner.force_commit()
    assert group.committed[TopicPartition(*HERE)].offset == 6
    assert await owner.unreleased({0}, 3) == {0}


async def test_a_partition_that_is_given_away_meanwhile_is_not_sought(
    consumer: Delivered,
):
    group = consumer._thread = Group(_0=OffsetAndMetadata(7, ""))  # noqa: SLF001
    await consumer.take_over({0, 1})
    group.assigned = {TopicPartition(*THERE)}
    await consumer.serve({0, 1})
    assert group.sought == {TopicPartition(*THERE): "beginning"}
    assert group.resumed == group.assigned


async def test_records_that_were_delivered_before_a_rebalance_are_not_skipped(
    consumer: Delivered, monkeypatch: pytest.MonkeyPatch
):
    """Faust's streams skip messages of another generation than the app's."""
    topics = consumer.app.topics
    monkeypatch.setattr(topics, "maybe_wait_for_subscriptions", _no_subscriptions)
    monkeypatch.setattr(topics, "on_partitions_assigned", no_callback)
    await consumer.update_topics()
    message = consumer._to_message(HERE, records(5)[0])  # noqa: SLF001
    consumer._thread.generation += 1  # noqa: SLF001
    await consumer.update_topics()
    assert message.generation_id == consumer.app.consumer_generation_id
