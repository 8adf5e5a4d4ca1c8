"""Deliveries and commits of the consumer, whatever Faust does in between."""

import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from faust.types import TP

from agents.worker.delivery import ServedPartition
from tests.component.delivered import (
    HERE,
    THERE,
    Delivered,
    deliver,
    fetched,
    records,
    started,
)
from tests.component.worker_harness import (
    TIME_MS,
    WorkerHarness,
    record,
)
from topics.layout import Layout


@pytest.fixture
async def consumer(harness: WorkerHarness) -> Delivered:
    return await started(harness, Delivered)


async def test_no_error_is_logged_for_partitions_that_are_not_read(
    consumer: Delivered, caplog: pytest.LogCaptureFixture
):
    await consumer.verify_all_partitions_active()
    assert not caplog.messages


async def test_an_acknowledged_batch_is_committed_once(consumer: Delivered):
    await deliver(consumer, 5, 6)
    await consumer.force_commit()
    assert consumer.commits == []
    consumer.batches[0].acknowledged = True
    await consumer.force_commit()
    await consumer.force_commit()
    assert consumer.commits == [{HERE: 7}]


async def test_a_record_that_is_no_part_of_the_log_is_not_delivered(consumer: Delivered):
    """It has a copy; as a redelivered record it would be refused before that."""
    consumer.app.layout = Layout(1, {HERE.topic: {0: [(5, 7), (8, 9)]}})
    await deliver(consumer, 4, 5, 6, 7)
    await deliver(consumer, 8)
    offsets = [record.offset for batch in consumer.batches for record in batch.records]
    assert offsets == [4, 7]


async def test_nothing_is_committed_over_an_unacknowledged_batch(consumer: Delivered):
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
    consumer: Delivered,
):
    await deliver(consumer, 5)
    message = consumer._to_message(HERE, consumer.batches[0].records[-1])  # noqa: SLF001
    message.value = consumer.batches
    consumer.track_message(message)
    assert consumer.ack(message)
    await consumer.force_commit()
    assert consumer.commits == []


async def test_nothing_is_committed_before_the_member_is_connected(consumer: Delivered):
    await consumer.revoke({HERE.partition, THERE.partition})
    consumer._thread._coordinator = None  # noqa: SLF001
    assert not await consumer.force_commit()


async def test_a_commit_waits_while_the_member_joins_again(consumer: Delivered):
    await deliver(consumer, 5)
    consumer.batches[0].acknowledged = True
    consumer._thread.is_joining = True  # noqa: SLF001
    assert not await consumer.force_commit()
    consumer._thread.is_joining = False  # noqa: SLF001
    assert await consumer.force_commit()
    assert consumer.commits == [{HERE: 6}]


async def test_a_refused_commit_is_made_again(consumer: Delivered):
    await deliver(consumer, 5)
    consumer.batches[0].acknowledged = consumer.refused = True
    assert not await consumer.force_commit()
    assert consumer.committed_offset(HERE) == 0
    consumer.refused = False
    assert await consumer.force_commit()
    assert consumer.commits == [{HERE: 6}, {HERE: 6}]
    assert consumer.committed_offset(HERE) == 6
    await consumer.revoke({0})
    assert consumer.committed_offset(HERE) == 0


async def test_the_time_of_the_newest_committed_record_is_known(consumer: Delivered):
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


@pytest.mark.parametrize("ahead_ms", [86_400_000, 2**62])
async def test_a_clock_that_is_ahead_does_not_count(consumer: Delivered, ahead_ms: int):
    """Rows would be deleted that later records may find."""
    timestamp = int(time.time() * 1000) + ahead_ms
    await fetched(consumer, {HERE: [replace(records(5)[0], timestamp=timestamp)]})
    consumer.batches[0].acknowledged = True
    await consumer.force_commit()
    at = consumer.committed_at(HERE)
    assert at
    assert at <= datetime.now(UTC)


async def test_records_fetched_before_a_revocation_are_not_delivered_after_it(
    consumer: Delivered,
):
    before = dict(consumer._served)  # noqa: SLF001
    await consumer.revoke({0})
    await consumer._deliver(before, {HERE: records(5), THERE: records(8)})  # noqa: SLF001
    await consumer.take_over({0})
    await consumer.serve({0})
    await consumer._deliver(before, {HERE: records(6)})  # noqa: SLF001
    assert [batch.tp for batch in consumer.batches] == [THERE]


async def test_a_delivered_record_is_not_delivered_again(consumer: Delivered):
    await deliver(consumer, 5, 6)
    await deliver(consumer, 5, 6, 7)
    assert [batch.end for batch in consumer.batches] == [7, 8]
    assert len(consumer.batches[1].records) == 1


async def test_a_long_fetch_is_split_into_chunks_of_bounded_size(consumer: Delivered):
    large = [record(b"x" * 12_500, partition=0, offset=n) for n in range(4)]
    await fetched(consumer, {HERE: large, THERE: large})
    cut = [[(b.tp, len(b.records)) for b in poll] for poll in consumer.polls]
    assert cut == [[(HERE, 3)], [(HERE, 1), (THERE, 2)], [(THERE, 2)]]


async def test_a_topics_records_of_one_fetch_are_delivered_together(consumer: Delivered):
    other = TP("order.requests", 0)
    consumer._served[other] = ServedPartition(0, 0, 0)  # noqa: SLF001
    await fetched(consumer, {HERE: records(5), other: records(3), THERE: records(8, 9)})
    assert [[b.tp for b in poll] for poll in consumer.polls] == [[HERE, THERE], [other]]


async def test_each_partition_of_a_poll_is_committed_separately(consumer: Delivered):
    await fetched(consumer, {HERE: records(5), THERE: records(8, 9)})
    consumer.batches[1].acknowledged = True
    await consumer.force_commit()
    assert consumer.commits == [{THERE: 10}]
