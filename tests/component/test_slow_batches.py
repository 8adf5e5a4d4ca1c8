"""A worker whose records are not acknowledged: its log and its gauges."""

import time
from collections import deque

import pytest
from faust.types import TP

from agents.runtime.in_flight import PartitionRecords
from agents.worker.consumer import Consumer
from agents.worker.delivery import ServedPartition
from tests.component.worker_harness import WorkerHarness, record


@pytest.fixture
async def consumer(harness: WorkerHarness) -> Consumer:
    return harness.app.consumer


async def test_a_worker_logs_its_oldest_batch_and_the_partition_that_waits(
    harness: WorkerHarness, consumer: Consumer, caplog: pytest.LogCaptureFixture
):
    tp = TP("stock.requests", 1)
    old = PartitionRecords(tp, [record(b"")], began=time.monotonic() - 15)
    consumer._served[tp] = ServedPartition(0, 0, 0, deque([old]))  # noqa: SLF001
    consumer.waiting = tp
    await harness.service._log_slow_batches()  # noqa: SLF001
    await harness.service._log_slow_batches()  # noqa: SLF001

    line = "event=batch-slow topic=stock.requests partition=1 offset=0 seconds=15"
    assert caplog.messages == [f"{line} waiting=stock.requests-1"]
    old.acknowledged = True
    assert consumer.oldest() == []
