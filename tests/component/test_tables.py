"""Tables of a worker between recoveries: their rows stay young, or are dropped."""

import time
from collections.abc import Mapping

import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from agents.loms.service import STOCK_AGGREGATE
from agents.runtime.rows import Progress, Row
from agents.runtime.state_store import MAX_AGE, StateStore
from tests.component.worker_harness import WorkerHarness
from tests.e2e.waiting import until
from topics.catalog import STOCK_CHANGELOG

HOURS = MAX_AGE.total_seconds() / 2
ROW = Row(b"a", b"1", 5)


class _Consumer:
    """The group's consumer, as far as it returns the ends of changelogs."""

    def __init__(self, ends: Mapping[TP, int] | None) -> None:
        self._ends = ends

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        if self._ends is None:
            raise KafkaConnectionError
        return {tp: self._ends[tp] for tp in partitions}


@pytest.fixture
async def store(harness: WorkerHarness) -> StateStore:
    """The rows of an idle worker, written hours ago."""
    served = await harness.serve(STOCK_AGGREGATE)
    for partition in served.store.offsets:
        served.store.store(partition, [ROW], Progress(5, 1, time.time() - HOURS))
    return served.store


def set_ends(harness: WorkerHarness, *ends: int) -> None:
    tps = {TP(STOCK_CHANGELOG.name, partition): end for partition, end in enumerate(ends)}
    harness.app.consumer = _Consumer(tps or None)


def is_young(store: StateStore, partition: int) -> bool:
    return time.time() - store.offsets[partition].stored.at < 60


async def test_rows_of_an_idle_partition_are_kept_young_and_flushed(
    harness: WorkerHarness, store: StateStore
):
    set_ends(harness, 1, 2)  # another worker has written to partition 1
    await harness.app.tables.flush_rows()
    assert [is_young(store, partition) for partition in (0, 1)] == [True, False]
    files = harness.service.settings.state_dir / "stock" / "rows"
    first = 1  # it has the format only
    await until(lambda: len(list(files.glob("*.sst"))) > first, "a flush")


async def test_without_kafka_rows_are_flushed_but_not_young(
    harness: WorkerHarness, store: StateStore, caplog: pytest.LogCaptureFixture
):
    set_ends(harness)
    await harness.app.tables.flush_rows()
    assert not is_young(store, 0)
    assert "event=rows-not-confirmed" in caplog.text


async def test_rows_of_a_partition_that_does_not_return_are_dropped_when_they_are_old(
    harness: WorkerHarness, store: StateStore
):
    store.release(1)
    set_ends(harness, 1)
    await harness.app.tables.flush_rows()
    assert list(store.partitions()) == [0, 1]
    store.load(1)
    store.store(1, [ROW], Progress(5, 1, time.time() - 3 * HOURS))
    store.offsets.pop(1)
    await harness.app.tables.flush_rows()
    assert list(store.partitions()) == [0]
