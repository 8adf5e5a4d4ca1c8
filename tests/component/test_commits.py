"""Deliveries and commits of the consumer, whatever Faust does in between."""

from collections.abc import Mapping

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from agents.runtime.in_flight import ConsumerRecords, PartitionRecords
from agents.worker.consumer import Consumer
from schemas.stock import ListStocks
from tests.component.worker_harness import WorkerHarness, record

HERE = TP("stock.requests", 0)
THERE = TP("stock.requests", 1)


class _Delivered(Consumer):
    """The consumer, without agents and without a group."""

    polls: list[ConsumerRecords]
    commits: list[Mapping[TP, int]]

    @property
    def batches(self) -> list[PartitionRecords]:
        return [batch for poll in self.polls for batch in poll]

    async def _dispatch(self, poll: ConsumerRecords) -> None:
        self.polls.append(poll)

    async def _commit_offsets(self, offsets: Mapping[TP, int], *_: object) -> bool:
        self.commits.append(offsets)
        return True


class _Thread:
    """The group's consumer, as far as seeking goes."""

    def __init__(self, committed: Mapping[TopicPartition, int | None]) -> None:
        self.committed = committed
        self.from_the_beginning: list[TopicPartition] = []

    def assignment(self) -> set[TopicPartition]:
        return set(self.committed)

    async def seek_to_committed(self) -> Mapping[TopicPartition, int | None]:
        return self.committed

    async def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        self.from_the_beginning += partitions


async def _no_callback(_: object) -> None:
    """Take a message; none is delivered here."""


@pytest.fixture
async def consumer(harness: WorkerHarness) -> _Delivered:
    app = harness.app
    consumer = _Delivered(
        app.transport,
        callback=_no_callback,
        on_partitions_revoked=app.on_partitions_revoked,
        on_partitions_assigned=app.on_partitions_assigned,
    )
    consumer.polls, consumer.commits = [], []
    return consumer


async def test_no_error_is_logged_for_partitions_that_are_not_read(
    consumer: _Delivered, caplog: pytest.LogCaptureFixture
):
    there = [HERE, TP("loms-stock-changelog", 0)]
    consumer._thread = _Thread(dict.fromkeys(there))  # noqa: SLF001 -- Faust's check would log
    consumer._active_partitions = set(there)  # noqa: SLF001
    await consumer.verify_all_partitions_active()
    assert not caplog.messages


def records(*offsets: int) -> list[ConsumerRecord]:
    return [record(ListStocks(sku=1), partition=0, offset=offset) for offset in offsets]


async def deliver(consumer: _Delivered, *offsets: int) -> None:
    epoch = consumer._epoch  # noqa: SLF001
    await consumer._deliver(epoch, {HERE: records(*offsets)})  # noqa: SLF001


async def test_an_acknowledged_batch_is_committed_once(consumer: _Delivered):
    await deliver(consumer, 5, 6)
    await consumer.force_commit()
    assert consumer.commits == []
    consumer.batches[0].acknowledged = True
    await consumer.force_commit()
    await consumer.force_commit()
    assert consumer.commits == [{HERE: 7}]


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
    consumer.track_message(message)
    assert consumer.ack(message)
    await consumer.force_commit()
    assert consumer.commits == []


async def test_records_fetched_before_the_flow_stopped_are_not_delivered_after_it(
    consumer: _Delivered,
):
    before = consumer._epoch  # noqa: SLF001
    consumer.stop_flow()
    consumer.resume_flow()
    await consumer._deliver(before, {HERE: records(5)})  # noqa: SLF001
    assert consumer.batches == []


async def test_a_delivered_record_is_not_delivered_again(consumer: _Delivered):
    await deliver(consumer, 5, 6)
    await deliver(consumer, 5, 6, 7)
    assert [batch.end for batch in consumer.batches] == [7, 8]
    assert len(consumer.batches[1].records) == 1


async def test_a_partition_without_a_commit_begins_at_its_beginning(consumer: _Delivered):
    done, fresh = TopicPartition(*HERE), TopicPartition(HERE.topic, 1)
    thread = consumer._thread = _Thread({done: 7, fresh: None})  # noqa: SLF001
    await consumer.perform_seek()
    assert thread.from_the_beginning == [fresh]


async def test_a_batch_delivered_before_a_seek_is_not_committed_after_it(
    consumer: _Delivered,
):
    await deliver(consumer, 5)
    consumer._thread = _Thread({TopicPartition(*HERE): 5})  # noqa: SLF001
    await consumer.perform_seek()
    consumer.batches[0].acknowledged = True
    await consumer.force_commit()
    assert consumer.commits == []


async def test_a_long_fetch_is_split_into_chunks_of_bounded_size(consumer: _Delivered):
    large = [record(b"x" * 50_000, partition=0, offset=n) for n in range(4)]
    await consumer._deliver(consumer._epoch, {HERE: large, THERE: large})  # noqa: SLF001
    cut = [[(b.tp, len(b.records)) for b in poll] for poll in consumer.polls]
    assert cut == [[(HERE, 3)], [(HERE, 1), (THERE, 2)], [(THERE, 2)]]


async def test_a_topics_records_of_one_fetch_are_delivered_together(consumer: _Delivered):
    other = TP("order.requests", 0)
    fetched = {HERE: records(5), other: records(3), THERE: records(8, 9)}
    await consumer._deliver(consumer._epoch, fetched)  # noqa: SLF001
    assert [[b.tp for b in poll] for poll in consumer.polls] == [[HERE, THERE], [other]]


async def test_each_partition_of_a_poll_is_committed_separately(consumer: _Delivered):
    await consumer._deliver(  # noqa: SLF001
        consumer._epoch,  # noqa: SLF001
        {HERE: records(5), THERE: records(8, 9)},
    )
    consumer.batches[1].acknowledged = True
    await consumer.force_commit()
    assert consumer.commits == [{THERE: 10}]
