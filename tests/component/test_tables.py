"""Tables of a worker between recoveries: their rows stay young, or are dropped."""

import time

import pytest
from aiokafka.errors import KafkaConnectionError

from agents.loms.service import STOCK_AGGREGATE
from agents.runtime.rows import Progress, Row
from agents.runtime.state_store import MAX_AGE, StateStore
from agents.worker import tables
from tests.component.worker_harness import WorkerHarness
from tests.e2e.waiting import until
from topics.catalog import STOCK_CHANGELOG

HOURS = MAX_AGE.total_seconds() / 2
ROW = Row(b"a", b"1", 5)


@pytest.fixture
async def store(harness: WorkerHarness) -> StateStore:
    """The rows of an idle worker, written hours ago."""
    served = await harness.serve(STOCK_AGGREGATE)
    for partition in served.store.offsets:
        served.store.store(partition, [ROW], Progress(5, 1, time.time() - HOURS))
    return served.store


def set_ends(monkeypatch: pytest.MonkeyPatch, *ends: int) -> None:
    """Let the changelog end there; without ends, Kafka does not respond."""

    async def changelog_ends(topic: str, active: set[int], _: object) -> dict[int, int]:
        assert topic == STOCK_CHANGELOG.name
        if not ends:
            raise KafkaConnectionError
        return {partition: ends[partition] for partition in active}

    monkeypatch.setattr(tables, "changelog_ends", changelog_ends)


def is_young(store: StateStore, partition: int) -> bool:
    return time.time() - store.offsets[partition].stored.at < 60


async def test_rows_of_an_idle_partition_are_kept_young_and_flushed(
    harness: WorkerHarness, store: StateStore, monkeypatch: pytest.MonkeyPatch
):
    set_ends(monkeypatch, 1, 2)  # another worker has written to partition 1
    await harness.app.tables.flush_rows()
    assert [is_young(store, partition) for partition in (0, 1)] == [True, False]
    files = harness.service.settings.state_dir / "stock" / "rows"
    first = 1  # it has the format only
    await until(lambda: len(list(files.glob("*.sst"))) > first, "a flush")


async def test_without_kafka_rows_are_flushed_but_not_young(
    harness: WorkerHarness,
    store: StateStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    set_ends(monkeypatch)
    await harness.app.tables.flush_rows()
    assert not is_young(store, 0)
    assert "event=rows-not-confirmed" in caplog.text


async def test_rows_of_a_partition_that_does_not_return_are_dropped_when_they_are_old(
    harness: WorkerHarness, store: StateStore, monkeypatch: pytest.MonkeyPatch
):
    store.release(1)
    set_ends(monkeypatch, 1)
    await harness.app.tables.flush_rows()
    assert list(store.partitions()) == [0, 1]
    store.load(1)
    store.store(1, [ROW], Progress(5, 1, time.time() - 3 * HOURS))
    store.offsets.pop(1)
    await harness.app.tables.flush_rows()
    assert list(store.partitions()) == [0]
